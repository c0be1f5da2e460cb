//! Making, reading, listing and changing brands.

use copydesk_proto::learning::v1 as pb;
use copydesk_types::{BrandId, KnowledgeBaseId};
use prost_types::FieldMask;
use tonic::Code;

use super::{Archive, archives, refusal, user, violated};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn names(archive: &Archive) -> Vec<String> {
    let listed = user(archive.brands().list_brands(pb::ListBrandsRequest::default())).await.expect("a page");
    listed.into_inner().brands.into_iter().map(|brand| brand.name).collect()
}

#[tokio::test]
async fn a_brand_is_made_once_per_request_id() {
    for archive in archives().await {
        let sent = pb::Brand {
            name: "Chillwright".into(),
            voice: "calm, exact".into(),
            audience: "dispatchers".into(),
            language: "de-AT".into(),
            knowledge_base_ids: vec![KnowledgeBaseId::from_u128(7).to_string()],
            brand_id: "is set by the server".into(),
            etag: "so is this".into(),
            ..pb::Brand::default()
        };
        let request = pb::CreateBrandRequest { request_id: "one".into(), brand: Some(sent.clone()) };
        let made =
            user(archive.brands().create_brand(request.clone())).await.expect("made").into_inner().brand;
        let made = made.expect("with the brand");
        assert!(
            made.brand_id.parse::<BrandId>().is_ok() && !made.etag.is_empty() && made.create_time.is_some()
        );
        let told = pb::Brand {
            brand_id: sent.brand_id.clone(),
            etag: sent.etag.clone(),
            create_time: None,
            update_time: None,
            ..made.clone()
        };
        assert_eq!(told, sent, "{}", archive.over);
        let again =
            user(archive.brands().create_brand(request.clone())).await.expect("made").into_inner().brand;
        assert_eq!(again.as_ref(), Some(&made), "{}", archive.over);
        let other = pb::Brand { name: "Other".into(), ..sent };
        let reused = pb::CreateBrandRequest { brand: Some(other), ..request };
        let reused = user(archive.brands().create_brand(reused)).await;
        assert_eq!(refusal(reused), (Code::AlreadyExists, "REQUEST_ID_REUSED".into()), "{}", archive.over);
        let get = pb::GetBrandRequest { brand_id: made.brand_id.clone() };
        let got = user(archive.brands().get_brand(get)).await.expect("there").into_inner().brand;
        assert_eq!(got, Some(made), "{}", archive.over);
        assert_eq!(names(&archive).await, ["Chillwright"], "{}", archive.over);
    }
}

#[tokio::test]
async fn every_fault_is_told_and_nothing_is_stored() {
    for archive in archives().await {
        let brand = pb::Brand {
            name: "  ".into(),
            voice: "v".repeat(1_001),
            audience: "a\0b".into(),
            language: "en_US".into(),
            knowledge_base_ids: vec![
                "kb_nonsense".into(),
                KnowledgeBaseId::from_u128(1).to_string(),
                KnowledgeBaseId::from_u128(1).to_string(),
            ],
            ..pb::Brand::default()
        };
        let request = pb::CreateBrandRequest { request_id: "r".repeat(129), brand: Some(brand) };
        let fields = violated(user(archive.brands().create_brand(request)).await);
        let expected = [
            "brand.audience",
            "brand.knowledge_base_ids[0]",
            "brand.knowledge_base_ids[2]",
            "brand.language",
            "brand.name",
            "brand.voice",
            "request_id",
        ];
        assert_eq!(fields, expected, "{}", archive.over);
        let empty = violated(user(archive.brands().create_brand(pb::CreateBrandRequest::default())).await);
        assert_eq!(empty, ["brand", "request_id"], "{}", archive.over);
        let many = vec![KnowledgeBaseId::from_u128(1).to_string(); 17];
        let brand = pb::Brand { name: "B".into(), knowledge_base_ids: many, ..pb::Brand::default() };
        let request = pb::CreateBrandRequest { request_id: "r".into(), brand: Some(brand) };
        let fields = violated(user(archive.brands().create_brand(request)).await);
        assert!(fields.contains(&"brand.knowledge_base_ids".to_owned()), "{fields:?}");
        assert_eq!(names(&archive).await, Vec::<String>::new(), "{}", archive.over);
        let get = user(archive.brands().get_brand(pb::GetBrandRequest { brand_id: "run_1".into() })).await;
        assert_eq!(violated(get), ["brand_id"], "{}", archive.over);
    }
}

#[tokio::test]
async fn a_mask_says_what_changes() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        let sent = pb::Brand {
            name: "New".into(),
            voice: "loud".into(),
            language: "not looked at!".into(),
            ..brand.clone()
        };
        let request = pb::UpdateBrandRequest { brand: Some(sent), update_mask: mask(&["voice"]) };
        let changed = user(archive.brands().update_brand(request)).await.expect("changed").into_inner().brand;
        let changed = changed.expect("with the brand");
        assert_eq!(
            (changed.name.as_str(), changed.voice.as_str()),
            ("Chillwright", "loud"),
            "{}",
            archive.over
        );
        assert_ne!(changed.etag, brand.etag);
        let cleared = pb::Brand { etag: String::new(), voice: String::new(), ..brand.clone() };
        let request = pb::UpdateBrandRequest { brand: Some(cleared), update_mask: mask(&["voice"]) };
        let cleared =
            user(archive.brands().update_brand(request)).await.expect("an empty etag is not checked");
        assert_eq!(cleared.into_inner().brand.expect("with the brand").voice, "", "{}", archive.over);
        let bad = pb::Brand { brand_id: "brd_1".into(), name: String::new(), ..brand.clone() };
        let request =
            pb::UpdateBrandRequest { brand: Some(bad), update_mask: mask(&["name", "etag", "nonsense"]) };
        let fields = violated(user(archive.brands().update_brand(request)).await);
        assert_eq!(fields, ["brand.brand_id", "brand.name", "update_mask.paths[1]", "update_mask.paths[2]"]);
        for update_mask in [None, mask(&[])] {
            let request = pb::UpdateBrandRequest { brand: Some(brand.clone()), update_mask };
            let fields = violated(user(archive.brands().update_brand(request)).await);
            assert_eq!(fields, ["update_mask"], "{}", archive.over);
        }
    }
}

#[tokio::test]
async fn of_two_updates_with_one_etag_one_is_aborted() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        let update = |name: &str| {
            let brand = pb::Brand { name: name.into(), ..brand.clone() };
            let request = pb::UpdateBrandRequest { brand: Some(brand), update_mask: mask(&["name"]) };
            let mut client = archive.brands();
            user(async move { client.update_brand(request).await })
        };
        let (a, b) = tokio::join!(update("A"), update("B"));
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        let won = won.expect("one succeeds").into_inner().brand.expect("with the brand");
        assert_eq!(refusal(lost), (Code::Aborted, "ETAG_MISMATCH".into()), "{}", archive.over);
        assert_eq!(names(&archive).await, [won.name], "{}", archive.over);
        let missing = pb::Brand { brand_id: BrandId::from_u128(9).to_string(), ..brand };
        let request = pb::UpdateBrandRequest { brand: Some(missing), update_mask: mask(&["voice"]) };
        let (code, _) = refusal(user(archive.brands().update_brand(request)).await);
        assert_eq!(code, Code::NotFound, "{}", archive.over);
    }
}

#[tokio::test]
async fn pages_follow_each_other() {
    for archive in archives().await {
        let mut made = Vec::new();
        for n in 0..5 {
            made.push(archive.brand(&n.to_string(), &[]).await.brand_id);
        }
        made.reverse();
        let mut walked = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListBrandsRequest { page_size: 2, page_token };
            let page = user(archive.brands().list_brands(request)).await.expect("a page").into_inner();
            assert!(page.brands.len() <= 2);
            walked.extend(page.brands.into_iter().map(|brand| brand.brand_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(walked, made, "{}", archive.over);
        let bad = pb::ListBrandsRequest { page_size: 501, page_token: "nonsense".into() };
        assert_eq!(violated(user(archive.brands().list_brands(bad)).await), ["page_size", "page_token"]);
    }
}
