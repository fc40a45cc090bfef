//! Every body of this server reads the fields that the document says, and no others.

use std::collections::{BTreeMap, BTreeSet};

use browserd_api::replays::StartReplay;
use utoipa::openapi::OpenApiBuilder;

use crate::browsers::validate::{CreateBrowser, UpdateBrowser};
use crate::fields::Body;
use crate::fields::documented::{reference, what_is_documented_is_read};
use crate::profiles::validate::{CreateProfile, UpdateProfile};
use crate::proxies::check::CheckProxy;
use crate::proxies::validate::{CreateProxy, UpdateProxy};
use crate::router::document;

/// Every body: its name in the document, and its test.
fn bodies() -> BTreeMap<String, fn()> {
    fn body<T: Body>() -> (String, fn()) {
        (T::name().into_owned(), what_is_documented_is_read::<T>)
    }
    [
        body::<CreateBrowser>(),
        body::<UpdateBrowser>(),
        body::<CreateProfile>(),
        body::<UpdateProfile>(),
        body::<CreateProxy>(),
        body::<UpdateProxy>(),
        body::<CheckProxy>(),
        body::<StartReplay>(),
    ]
    .into()
}

#[test]
fn every_body_reads_what_it_documents() {
    for test in bodies().values() {
        test();
    }
}

/// So that a new one is not forgotten above.
#[test]
fn every_body_of_the_document_is_tested() {
    let document = document(&OpenApiBuilder::new().build());
    let document = serde_json::to_value(document).unwrap();
    let mut named = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            if let Some(body) = operation.get("requestBody") {
                named.insert(reference(body).expect("a body of its own name").to_owned());
            }
        }
    }
    assert_eq!(named, bodies().into_keys().collect());
}
