//! A stranger with every scope reaches nothing of another tenant, by any method.

use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::FeedbackKind;
use copydesk_proto::types::v1::ContentType;
use copydesk_rpc::testing;
use copydesk_types::Scopes;
use prost_types::FieldMask;
use tonic::Code;

use super::{STRANGER, archives, outcome, refusal, stranger, user, verdict, violated};

#[tokio::test]
async fn a_stranger_finds_nothing_and_changes_nothing() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        let told = outcome(1, &brand, "Vans stay cold.");
        archive.ended(told.clone()).await;
        archive.say(verdict("v1", 1, FeedbackKind::Reject, "Start with a number.")).await.expect("stored");
        let brand_id = brand.brand_id.clone();

        let get = pb::GetBrandRequest { brand_id: brand_id.clone() };
        assert_eq!(refusal(stranger(archive.brands().get_brand(get)).await).0, Code::NotFound);
        let mask = Some(FieldMask { paths: vec!["name".into()] });
        let update = pb::UpdateBrandRequest { brand: Some(brand.clone()), update_mask: mask };
        assert_eq!(refusal(stranger(archive.brands().update_brand(update)).await).0, Code::NotFound);
        let measure = pb::GetBrandMetricsRequest { brand_id: brand_id.clone(), content_type: 0 };
        assert_eq!(refusal(stranger(archive.brands().get_brand_metrics(measure)).await).0, Code::NotFound);
        let brands = stranger(archive.brands().list_brands(pb::ListBrandsRequest::default())).await;
        assert!(brands.expect("an empty page").into_inner().brands.is_empty());

        let say = verdict("v1", 1, FeedbackKind::Approve, "");
        let said = refusal(stranger(archive.verdicts().record_feedback(say)).await);
        assert_eq!(
            said,
            (Code::FailedPrecondition, "OUTCOME_UNKNOWN".into()),
            "as if there were no such run"
        );
        let list = pb::ListFeedbackRequest { brand_id: brand_id.clone(), ..Default::default() };
        let listed = stranger(archive.verdicts().list_feedback(list)).await;
        assert!(listed.expect("an empty page").into_inner().feedback.is_empty());

        let content_type = ContentType::Social.into();
        let find = pb::FindLessonsRequest { brand_id: brand_id.clone(), content_type, ..Default::default() };
        assert_eq!(refusal(stranger(archive.lessons().find_lessons(find)).await).0, Code::NotFound);
        let list = pb::ListLessonsRequest { brand_id: brand_id.clone(), ..Default::default() };
        assert_eq!(refusal(stranger(archive.lessons().list_lessons(list)).await).0, Code::NotFound);

        let get = pb::GetOutcomeRequest { run_id: told.run_id.clone() };
        assert_eq!(refusal(stranger(archive.outcomes().get_outcome(get)).await).0, Code::NotFound);
        let record =
            pb::RecordOutcomeRequest { outcome: Some(pb::Outcome { text: "Other.".into(), ..told.clone() }) };
        let theirs =
            testing::as_service(STRANGER, Scopes::all(), archive.outcomes().record_outcome(record)).await;
        assert!(theirs.expect("their own run of that id").into_inner().recorded);

        let create = pb::CreateBrandRequest {
            request_id: "one".into(),
            brand: Some(pb::Brand { name: "Theirs".into(), ..Default::default() }),
        };
        let theirs = stranger(archive.brands().create_brand(create)).await.expect("request ids do not meet");
        assert_ne!(theirs.into_inner().brand.expect("with the brand").brand_id, brand_id);

        let get = pb::GetOutcomeRequest { run_id: told.run_id.clone() };
        let mine = user(archive.outcomes().get_outcome(get)).await.expect("still there").into_inner().outcome;
        assert_eq!(mine, Some(told), "{}", archive.over);
        let get = pb::GetBrandRequest { brand_id };
        let mine = user(archive.brands().get_brand(get)).await.expect("still there").into_inner().brand;
        assert_eq!(mine, Some(brand), "{}", archive.over);
    }
}

#[tokio::test]
async fn a_page_token_belongs_to_its_tenant() {
    for archive in archives().await {
        for id in ["a", "b"] {
            archive.brand(id, &[]).await;
        }
        let request = pb::ListBrandsRequest { page_size: 1, page_token: String::new() };
        let page = user(archive.brands().list_brands(request.clone())).await.expect("a page").into_inner();
        let stolen = pb::ListBrandsRequest { page_token: page.next_page_token, ..request };
        assert_eq!(violated(stranger(archive.brands().list_brands(stolen)).await), ["page_token"]);
    }
}

#[tokio::test]
async fn each_method_asks_for_its_scope() {
    for archive in archives().await {
        let none = Scopes::default;
        let tenant = super::TENANT;
        let codes = [
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.brands().create_brand(pb::CreateBrandRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.brands().get_brand(pb::GetBrandRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.brands().list_brands(pb::ListBrandsRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.brands().update_brand(pb::UpdateBrandRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.brands().get_brand_metrics(pb::GetBrandMetricsRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.verdicts().record_feedback(pb::RecordFeedbackRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.verdicts().list_feedback(pb::ListFeedbackRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.lessons().find_lessons(pb::FindLessonsRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.lessons().list_lessons(pb::ListLessonsRequest::default()),
                )
                .await,
            )
            .0,
            refusal(
                testing::as_caller(
                    tenant,
                    none(),
                    archive.outcomes().get_outcome(pb::GetOutcomeRequest::default()),
                )
                .await,
            )
            .0,
        ];
        assert!(codes.iter().all(|code| *code == Code::PermissionDenied), "{}: {codes:?}", archive.over);
        let nobody = archive.brands().list_brands(pb::ListBrandsRequest::default()).await;
        assert_eq!(refusal(nobody).0, Code::Unauthenticated, "{}", archive.over);
    }
}
