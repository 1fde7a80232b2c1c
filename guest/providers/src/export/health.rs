//! `ragtime:health/readiness`

use super::Provider;
use crate::bindings::readiness as wit;
use crate::state::read;

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
        let lexical = Some("no model wanted, search is lexical only");
        vec![
            part("server", wit::State::Ready, None),
            part("store", state, detail),
            part("embedding-model", wit::State::Ready, lexical),
        ]
    }
}
