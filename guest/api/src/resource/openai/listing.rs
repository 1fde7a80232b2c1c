//! Which part of a list is wanted, in OpenAI's API.

use std::ops::Bound;

use crate::json::Fault;
use crate::problem::Problem;

/// The parameters that are read.
const KNOWN: [&str; 6] = ["limit", "order", "after", "before", "purpose", "filter"];

/// What may have become of a file.
pub const STATES: [&str; 4] = ["in_progress", "completed", "failed", "cancelled"];

/// A place in a list, and how much there is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The id after which it begins.
    after: Option<String>,
    /// The id before which it ends.
    before: Option<String>,
    /// Newest first.
    descending: bool,
    /// The most to return.
    pub limit: usize,
    /// What files must be for.
    pub purpose: Option<String>,
    /// What has become of them.
    pub filter: Option<String>,
}

impl Listing {
    /// Reads `after`, `before`, `order`, `limit`, `purpose` and `filter`; others
    /// are left unread. `sizes` are the most items of a page, and those of one
    /// that does not say how many.
    ///
    /// # Errors
    ///
    /// `validation_failed` where `limit` is no number, `order` no order or one of
    /// them is given twice. A limit that is too large gives as much as there may be.
    pub fn read(query: &str, sizes: (u32, u32)) -> Result<Self, Problem> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        for known in KNOWN {
            if pairs.iter().filter(|(name, _)| name == known).count() > 1 {
                return Err(fault(known, "is given twice".to_owned()));
            }
        }
        let get = |wanted: &str| {
            let pair = pairs.iter().find(|(name, _)| name == wanted);
            pair.map(|(_, value)| value.clone().into_owned())
        };
        let (most, default) = sizes;
        let limit = match get("limit").map(|limit| limit.parse::<u32>()) {
            None => default,
            Some(Ok(limit)) if limit > 0 => limit.min(most),
            Some(_) => {
                return Err(fault("limit", format!("must be a whole number from 1 to {most}")));
            }
        };
        let descending = match get("order").as_deref() {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(fault("order", "must be \"asc\" or \"desc\"".to_owned())),
        };
        let filter = get("filter");
        if filter.as_deref().is_some_and(|filter| !STATES.contains(&filter)) {
            return Err(fault("filter", format!("must be one of {}", STATES.join(", "))));
        }
        let [after, before, purpose] = ["after", "before", "purpose"].map(get);
        Ok(Self { after, before, descending, limit: limit as usize, purpose, filter })
    }

    /// The ids above and below which are those that are wanted.
    pub fn bounds(&self) -> (Option<&str>, Option<&str>) {
        let (after, before) = (self.after.as_deref(), self.before.as_deref());
        if self.descending { (before, after) } else { (after, before) }
    }

    /// Whether those that are wanted are the last before a place, and not the
    /// first after one.
    fn is_back(&self) -> bool {
        self.before.is_some() && self.after.is_none()
    }

    /// Whether those nearest to the place are looked for from the greatest to the
    /// smallest.
    pub fn looks_down(&self) -> bool {
        self.descending != self.is_back()
    }

    /// The page, of those nearest to the place in the order in which they were
    /// looked for, one more than the page holds if there are more; and whether
    /// there are.
    pub fn page<T>(&self, mut found: Vec<T>) -> (Vec<T>, bool) {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        if self.is_back() {
            found.reverse();
        }
        (found, more)
    }

    /// The page of a list that is there as a whole, in the order of keys. `key_of`
    /// tells the key of an id, if it can: one of which nothing is known bounds
    /// nothing.
    pub fn page_of<T, K: Ord>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> K,
        key_of: impl Fn(&str) -> Option<K>,
    ) -> (Vec<T>, bool) {
        let (above, below) = self.bounds();
        let bound =
            |id: Option<&str>| id.and_then(&key_of).map_or(Bound::Unbounded, Bound::Excluded);
        let range = (bound(above), bound(below));
        items.retain(|item| std::ops::RangeBounds::contains(&range, &key(item)));
        items.sort_by_key(&key);
        if self.looks_down() {
            items.reverse();
        }
        items.truncate(self.limit + 1);
        self.page(items)
    }
}

fn fault(name: &str, detail: String) -> Problem {
    Problem::invalid(vec![Fault::parameter(name, detail)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn page(query: &str) -> (String, bool) {
        let items: Vec<_> = "dacbe".chars().collect();
        let listing = Listing::read(query, (100, 20)).unwrap();
        let (page, more) = listing.page_of(items, |item| *item, |id| id.chars().next());
        (page.into_iter().collect(), more)
    }

    #[test]
    fn a_list_goes_both_ways_from_any_place() {
        for (query, wanted, more) in [
            ("", "edcba", false),
            ("order=asc", "abcde", false),
            ("limit=2", "ed", true),
            ("limit=2&after=d", "cb", true),
            ("limit=2&after=c&order=asc", "de", false),
            ("limit=2&before=b", "dc", true),
            ("limit=2&before=d&order=asc", "bc", true),
            ("before=c&order=asc", "ab", false),
            ("after=d&before=a", "cb", false),
            ("after=", "edcba", false),
        ] {
            assert_eq!(page(query), (wanted.to_owned(), more), "{query}");
        }
    }

    #[test]
    fn a_page_takes_what_it_is_given() {
        let read = |query| Listing::read(query, (100, 20));
        let listing = read("limit=1000&after=a%2Fb&order=asc&purpose=assistants&x=1").unwrap();
        assert_eq!((listing.limit, listing.bounds()), (100, (Some("a/b"), None)));
        assert_eq!((listing.purpose.as_deref(), listing.filter), (Some("assistants"), None));
        assert_eq!(read("after=a").unwrap().bounds(), (None, Some("a")));
        for wrong in [
            "filter=failed&filter=failed",
            "filter=null",
            "after=a&after=b",
            "limit=0",
            "limit=x",
            "order=up",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
