//! How a brand writes, measured on what the library has.

use copydesk_learning::Config;
use copydesk_proto::learning::v1 as pb;
use copydesk_proto::types::v1::{ContentType, SourceKind};
use copydesk_types::BrandId;
use tonic::{Code, Status};

use super::{Archive, Library, archive, archives, refusal, user, violated};

const POST: &str = "---\nkind: post\n---\nThe customer experience matters. Great customer experience wins. \
                    We build customer experience daily.\n\n#Cold";

async fn figures(
    archive: &Archive,
    brand: &pb::Brand,
    content_type: ContentType,
) -> Option<pb::BrandMetrics> {
    let request =
        pb::GetBrandMetricsRequest { brand_id: brand.brand_id.clone(), content_type: content_type.into() };
    let answer = user(archive.brands().get_brand_metrics(request)).await.expect("measured");
    answer.into_inner().metrics
}

#[tokio::test]
async fn the_voice_is_measured_on_published_texts() {
    for archive in archives().await {
        let library = &archive.library;
        library.add(1, SourceKind::Post, ContentType::Social, POST);
        library.add(1, SourceKind::Readme, ContentType::Social, "Not published. Not measured.");
        library.add(1, SourceKind::Post, ContentType::Blog, "Is this one for the blog?");
        library.add(2, SourceKind::Post, ContentType::Social, "vanished");
        for _ in 0..4 {
            library.add(2, SourceKind::Post, ContentType::Social, "Vans stay cold.");
        }
        let brand = archive.brand("one", &[&Library::base(1), &Library::base(2), &Library::base(3)]).await;
        let metrics = figures(&archive, &brand, ContentType::Unspecified).await.expect("there are texts");
        assert_eq!(
            (metrics.texts, metrics.sentences),
            (5, 7),
            "{}: both knowledge bases, every page",
            archive.over
        );
        assert_eq!(metrics.signature_phrases[0].phrase, "customer experience", "{metrics:?}");
        assert_eq!(metrics.signature_phrases[0].count, 3);
        assert_eq!(metrics.hashtags_mean, 0.2);
        let blog = figures(&archive, &brand, ContentType::Blog).await.expect("there is one text");
        assert_eq!((blog.texts, blog.question_share), (1, 1.0), "{}", archive.over);
        assert_eq!(figures(&archive, &brand, ContentType::Ad).await, None, "{}", archive.over);
        let bare = archive.brand("two", &[]).await;
        assert_eq!(figures(&archive, &bare, ContentType::Social).await, None, "{}", archive.over);
    }
}

#[tokio::test]
async fn figures_are_kept_until_a_text_changes() {
    for archive in archives().await {
        archive.library.add(1, SourceKind::Post, ContentType::Social, POST);
        let brand = archive.brand("one", &[&Library::base(1)]).await;
        let first = figures(&archive, &brand, ContentType::Social).await;
        assert_eq!(figures(&archive, &brand, ContentType::Social).await, first, "{}", archive.over);
        assert_eq!(archive.library.texts_read(), 1, "{}: the second answer reads no text", archive.over);
        archive.library.add(1, SourceKind::Post, ContentType::Social, "Vans stay cold.");
        let second = figures(&archive, &brand, ContentType::Social).await.expect("there are texts");
        assert_eq!((second.texts, archive.library.texts_read()), (2, 3), "{}", archive.over);
    }
}

#[tokio::test]
async fn only_the_newest_texts_are_measured() {
    let archive = archive(false, Config { metrics_max_texts: 3, ..Config::default() }).await;
    for n in 0..7 {
        archive.library.add(
            1 + n % 2,
            SourceKind::Post,
            ContentType::Social,
            &"Cold. ".repeat(n as usize + 1),
        );
    }
    let brand = archive.brand("one", &[&Library::base(1), &Library::base(2)]).await;
    let metrics = figures(&archive, &brand, ContentType::Social).await.expect("there are texts");
    assert_eq!((metrics.texts, metrics.sentences), (3, 5 + 6 + 7));
}

#[tokio::test]
async fn the_library_decides_who_may_read_and_when() {
    for archive in archives().await {
        archive.library.add(1, SourceKind::Post, ContentType::Social, POST);
        let brand = archive.brand("one", &[&Library::base(1)]).await;
        let request = pb::GetBrandMetricsRequest { brand_id: brand.brand_id, content_type: 0 };
        archive.library.break_with(Status::permission_denied("not for you"));
        let denied = user(archive.brands().get_brand_metrics(request.clone())).await;
        assert_eq!(refusal(denied).0, Code::PermissionDenied, "{}", archive.over);
        archive.library.break_with(Status::unavailable("draining"));
        let away = user(archive.brands().get_brand_metrics(request.clone())).await;
        assert_eq!(refusal(away).0, Code::Unavailable, "{}", archive.over);
        archive.library.break_with(Status::invalid_argument("our fault, not the caller's"));
        let fault = user(archive.brands().get_brand_metrics(request.clone())).await;
        assert_eq!(refusal(fault).0, Code::Internal, "{}", archive.over);
        let bad = pb::GetBrandMetricsRequest { brand_id: "x".into(), content_type: 99 };
        let bad = violated(user(archive.brands().get_brand_metrics(bad)).await);
        assert_eq!(bad, ["brand_id", "content_type"], "{}", archive.over);
        let unknown = pb::GetBrandMetricsRequest { brand_id: BrandId::from_u128(9).to_string(), ..request };
        let unknown = user(archive.brands().get_brand_metrics(unknown)).await;
        assert_eq!(refusal(unknown).0, Code::NotFound, "{}", archive.over);
    }
}
