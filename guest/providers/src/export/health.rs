//! `ragtime:health/readiness`

use super::Provider;
use crate::bindings::readiness as wit;
use crate::state::{embedder, read};

impl wit::Guest for Provider {
    fn check() -> Vec<wit::Component> {
        let (state, detail) = match read(|_| Ok(())) {
            Ok(()) => (wit::State::Ready, None),
            Err(_) => (wit::State::Unready, Some("settings or data folder are not usable")),
        };
        let part = |name: &str, state, detail: Option<&str>| wit::Component {
            name: name.into(),
            state,
            detail: detail.map(str::to_owned),
        };
        let (model, model_detail) = match embedder() {
            None => (wit::State::Ready, Some("no model wanted, search is lexical only")),
            Some(embedder) if embedder.is_failing() => {
                (wit::State::Degraded, Some("the endpoint does not answer, search is lexical only"))
            }
            Some(_) => (wit::State::Ready, None),
        };
        vec![
            part("server", wit::State::Ready, None),
            part("store", state, detail),
            part("embedding-model", model, model_detail),
        ]
    }
}
