//! Optional content (ISO 32000-2, 8.11): what a viewer shows by default.

use std::collections::HashSet;

use hayro_syntax::object::{Array, Dict, Name, ObjectIdentifier};

/// Which layers are off.
#[derive(Debug, Default)]
pub(super) struct Layers {
    off: HashSet<ObjectIdentifier>,
}

impl Layers {
    pub(super) fn of(catalog: &Dict<'_>) -> Self {
        let mut layers = Self::default();
        let Some(all) = catalog.get::<Dict<'_>>("OCProperties") else { return layers };
        let Some(config) = all.get::<Dict<'_>>("D") else { return layers };
        if config.get::<Name<'_>>("BaseState").is_some_and(|state| state.as_str() == "OFF") {
            layers.off.extend(members(&all, "OCGs"));
        }
        for on in members(&config, "ON") {
            layers.off.remove(&on);
        }
        layers.off.extend(members(&config, "OFF"));
        layers
    }

    /// Whether what belongs to a layer, or to a condition on layers, is shown.
    /// `holder` has the entry `key` that names it.
    pub(super) fn shows(&self, holder: &Dict<'_>, key: &[u8]) -> bool {
        let Some(layer) = holder.get::<Dict<'_>>(key) else { return true };
        if layer.get::<Name<'_>>("Type").is_some_and(|kind| kind.as_str() == "OCMD") {
            return self.meets(&layer);
        }
        holder.get_ref(key).is_none_or(|layer| !self.off.contains(&layer.into()))
    }

    fn meets(&self, condition: &Dict<'_>) -> bool {
        let mut layers: Vec<_> = members(condition, "OCGs").collect();
        layers.extend(condition.get_ref("OCGs").map(ObjectIdentifier::from));
        if layers.is_empty() {
            return true;
        }
        let policy = condition.get::<Name<'_>>("P");
        let mut off = layers.iter().map(|layer| self.off.contains(layer));
        match policy.as_ref().map(|policy| policy.as_str()) {
            Some("AllOn") => !off.any(|off| off),
            Some("AnyOff") => off.any(|off| off),
            Some("AllOff") => off.all(|off| off),
            _ => off.any(|off| !off),
        }
    }
}

fn members<'a>(dict: &Dict<'a>, key: &str) -> impl Iterator<Item = ObjectIdentifier> + use<'a> {
    let members = dict.get::<Array<'_>>(key).into_iter().flat_map(|array| array.raw_iter());
    members.filter_map(|member| member.as_obj_ref().map(ObjectIdentifier::from))
}
