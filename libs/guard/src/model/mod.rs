//! The statistical model: features in, risk out. Its weights are a file with a version and the hash of what they were
//! fitted on.

mod cross;
mod fit;
mod measure;
mod newton;
mod row;
mod weights;

pub use cross::{Ablation, CrossValidated, ablate, cross_validate};
pub use fit::{FitError, FitOptions, fit};
pub use measure::{Figures, ReasonFigures, SetFigures, measure};
pub use row::{LabelledSentence, Row, RowError, Rows, read_rows};
pub use weights::{Feature, Weights, WeightsError};
pub(crate) use weights::{logistic, overall};
