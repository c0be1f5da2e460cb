//! Fitting and measuring, on a few judged texts of our own.

use copydesk_guard::model::{
    FitError, FitOptions, Rows, Weights, ablate, cross_validate, fit, measure, read_rows,
};
use copydesk_guard::{Source, Thresholds, check_by};

const FACTS: [(&str, &str); 8] = [
    ("Acme cut build times by 40 % in 2024.", "Acme cut build times by 70 % in 2024."),
    ("The cache keeps every artefact for 30 days.", "The cache never keeps an artefact for 30 days."),
    ("Maria Chen leads the platform team in Berlin.", "Paolo Rossi leads the platform team in Berlin."),
    ("The Team plan costs $20 per month.", "The Team plan costs $90 per month."),
    ("Remote builds are faster than local builds.", "Penguins swim across frozen southern oceans."),
    ("Version 1.4.2 was released on March 3, 2024.", "Version 1.9.9 was released on March 3, 2024."),
    ("The pump saves 30 percent of the water.", "The pump wastes water, and Globex sells 500 of them."),
    ("Drivers check the cooling unit before each tour.", "Drivers repair seventeen engines after work."),
];

const FAMILIES: [&str; 9] =
    ["coverage", "novelty", "meaning", "order", "swaps", "numbers", "names", "stance", "shape"];

/// Each fact in a context of its own, once as it is and once forged; `supporting` names its line.
fn own(set: &str) -> Result<Rows, Box<dyn std::error::Error>> {
    let mut lines = String::new();
    for (at, (fact, forged)) in FACTS.iter().enumerate() {
        let other = FACTS[(at + 3) % FACTS.len()].0;
        for (text, label) in [(fact, 1), (forged, 0)] {
            let row = serde_json::json!({
                "id": format!("{set}/{at}/{label}"), "context": format!("{other}\n{fact}"),
                "response": text.replacen(" in ", " over in ", 1), "label": label, "supporting": [[1]],
            });
            lines += &format!("{row}\n");
        }
    }
    Ok(read_rows(set, &lines)?)
}

#[test]
fn a_fit_is_reproducible_and_does_what_it_should() -> Result<(), Box<dyn std::error::Error>> {
    let sets = [own("own")?];
    let options = FitOptions::default();
    let weights = fit(&sets, &options)?;
    assert_eq!(weights.to_json(), fit(&sets, &options)?.to_json());
    assert_eq!(Weights::parse(&weights.to_json())?, weights, "what is written can be read");
    assert_eq!(weights.rows, [("own".to_owned(), 16)]);

    let mut changed = sets.clone();
    changed[0].rows[0].context.push('.');
    assert_ne!(fit(&changed, &options)?.fitted_on, weights.fitted_on, "other data have another hash");

    let figures = measure(&sets, &weights, &Thresholds::default());
    let own = &figures.sets[0];
    assert!(own.auroc > 0.9 && own.balanced_accuracy > 0.8, "{own:?}");
    assert_eq!((own.rows, own.verbatim.1), (16, 0));
    assert!(own.evidence.0 == 16 && own.evidence.1 >= own.evidence.2, "{own:?}");
    let missing = &own.reasons["number_mismatch"];
    assert!(missing.precision > 0.99 && missing.contexts == missing.fired, "{own:?}");
    Ok(())
}

#[test]
fn cross_validation_and_ablation_name_sets_and_families() -> Result<(), Box<dyn std::error::Error>> {
    let sets = [own("left")?, own("right")?];
    let options = FitOptions { emphasis: vec![("left".to_owned(), 2.0)] };
    let found = cross_validate(&sets, &options, 4)?;
    assert_eq!(found.left_out.iter().map(|(set, _)| set.as_str()).collect::<Vec<_>>(), ["left", "right"]);
    assert!(found.left_out.iter().all(|(_, auroc)| *auroc > 0.8), "{found:?}");
    let families: Vec<String> = ablate(&sets, &options, 4)?.into_iter().map(|part| part.family).collect();
    assert_eq!(families, FAMILIES);
    Ok(())
}

#[test]
fn what_cannot_be_fitted_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    let set = own("own")?;
    assert_eq!(fit(&[], &FitOptions::default()), Err(FitError::Empty));
    let mut one_sided = set.clone();
    one_sided.rows.retain(|row| row.label);
    assert_eq!(fit(&[one_sided], &FitOptions::default()), Err(FitError::OneSided("own".to_owned())));
    for (name, weight) in [("other", 1.0), ("own", 0.0), ("own", f64::NAN)] {
        let options = FitOptions { emphasis: vec![(name.to_owned(), weight)] };
        assert_eq!(fit(std::slice::from_ref(&set), &options), Err(FitError::Emphasis(name.to_owned())));
    }
    Ok(())
}

#[test]
fn a_caller_may_draw_the_lines() {
    let sources = [Source { id: "s", text: "Acme cut build times by 40 % in 2024." }];
    let text = "Acme shortened its builds considerably during the year 2024.";
    let at = |t_low: f64, t_high: f64| {
        let thresholds = Thresholds { t_low, t_high, ..Thresholds::default() };
        check_by(Weights::built_in(), text, &sources, &thresholds).claims.remove(0)
    };
    assert!(at(0.001, 0.002).verdict.is_flagged());
    assert!(!at(0.001, 0.9999).verdict.is_flagged());
    assert_eq!(at(0.1, 0.2).model_risk, at(0.3, 0.6).model_risk, "lines do not move the risk");
}

#[test]
fn the_version_names_the_weights() {
    use sha2::{Digest, Sha256};
    let file = Sha256::digest(include_bytes!("../weights/guard.json"));
    let start: String = file.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Whoever fits anew gives the guard another version: reports, memories of judges and calibrations are told apart by it.
    assert_eq!((copydesk_guard::GUARD_VERSION, start.as_str()), ("deterministic-3", "31701e0c603a226a"));
}
