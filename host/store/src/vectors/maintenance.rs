//! What is done in the background: segments go to files, rows into lists, and segments
//! that are mostly deleted are given up.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::file::Refused;
use super::home::Home;
use super::lists::{Lists, Plan, row_of};
use super::segment::{SEGMENT_ROWS, Segment};
use super::{EXACT_ROWS, Full, Moved, Owners, Vectors};
use crate::quantization::Quantizer;

/// Segments that are in no list and may be: a search looks through all their codes,
/// which takes some tenths of a millisecond.
const MAX_UNLISTED: usize = 4;
/// In a large collection they may be one for so many that are, as lists are written
/// whole.
const LISTED_PER_UNLISTED: usize = 16;

/// A segment that is to go to a file.
pub(crate) struct Save {
    home: Home,
    number: u32,
    segment: Arc<Segment>,
    dimensions: usize,
}

/// One that has.
pub(crate) struct Saved {
    home: Home,
    number: u32,
    from: Arc<Segment>,
    to: Segment,
}

/// Lists that are to be made.
pub(crate) struct Listing {
    home: Option<Home>,
    plan: Plan,
}

impl Save {
    /// Writes the file.
    pub(crate) fn carry_out(self) -> Result<Saved, Refused> {
        let to = self.home.save_segment(self.number, &self.segment, self.dimensions)?;
        Ok(Saved { home: self.home, number: self.number, from: self.segment, to })
    }
}

impl Listing {
    /// Makes the lists and writes them; none when asked to `stop`. Lists that cannot be
    /// written stay in memory, and are rebuilt after the next start.
    pub(crate) fn carry_out(self, stop: &AtomicBool) -> Option<Lists> {
        let quantizer = Quantizer::new(self.plan.dimensions);
        let lists = self.plan.carry_out(&quantizer, stop)?;
        match self.home.map(|home| home.save_lists(&lists)) {
            Some(Ok(saved)) => Some(saved),
            Some(Err(error)) => {
                tracing::warn!(%error, "inverted lists could not be written and stay in memory");
                Some(lists)
            }
            None => Some(lists),
        }
    }
}

impl Vectors {
    /// Whether there is something to do.
    pub(crate) fn has_more(&self) -> bool {
        self.next_held().is_some() || self.sparse().is_some() || self.wants_lists()
    }

    fn next_held(&self) -> Option<(u32, &Full)> {
        self.home.as_ref()?;
        self.segments().find(|(_, full)| matches!(*full.segment, Segment::Held(_)))
    }

    /// A full segment that is in memory, if there is a place for it.
    pub(crate) fn next_save(&self) -> Option<Save> {
        let (number, full) = self.next_held()?;
        let (home, segment) = (self.home.clone()?, Arc::clone(&full.segment));
        Some(Save { home, number, segment, dimensions: self.dimensions })
    }

    /// Puts it in the place of the one in memory, if that is still there.
    pub(crate) fn set_saved(&mut self, saved: Saved) {
        let place = self.full.get_mut(saved.number as usize).and_then(Option::as_mut);
        match place.filter(|full| Arc::ptr_eq(&full.segment, &saved.from)) {
            Some(full) => full.segment = Arc::new(saved.to),
            None => saved.home.remove_segment(saved.number),
        }
    }

    /// A full segment that is mostly deleted.
    pub(crate) fn sparse(&self) -> Option<u32> {
        let is_sparse = |full: &Owners| full.alive * 2 < full.documents.len();
        self.segments().find(|(_, full)| is_sparse(&full.owners)).map(|(number, _)| number)
    }

    /// Moves at most `limit` rows of a segment to the one that takes rows, and gives the
    /// segment up when none is left.
    pub(crate) fn move_rows(&mut self, number: u32, limit: usize) -> Vec<Moved> {
        let Some(Some(full)) = self.full.get(number as usize) else { return Vec::new() };
        let rows = full.owners.documents.iter().enumerate();
        let alive = rows.filter(|(_, document)| **document != 0).take(limit);
        let alive: Vec<_> = alive.map(|(offset, document)| (offset, *document)).collect();
        let segment = Arc::clone(&full.segment);
        let mut moved = Vec::with_capacity(alive.len());
        for (offset, document) in &alive {
            self.remove(row_of(number, *offset));
            let vector = segment.vector(*offset, self.dimensions).unwrap_or_default();
            let Some(chunk) = segment.chunks().get(*offset).copied() else { continue };
            moved.extend(self.push(chunk, *document, vector).map(|row| Moved { chunk, row }));
        }
        if alive.len() < limit {
            self.give_up(number);
        }
        moved
    }

    /// Forgets a segment, and its file.
    pub(crate) fn give_up(&mut self, number: u32) {
        if let Some(place) = self.full.get_mut(number as usize) {
            *place = None;
        }
        if let Some(home) = &self.home {
            home.remove_segment(number);
        }
    }

    /// Whether the lists that are there are not good enough.
    fn wants_lists(&self) -> bool {
        let (mut count, mut listed) = (0, 0);
        for (number, _) in self.segments() {
            count += 1;
            listed += usize::from(self.lists.as_ref().is_some_and(|lists| lists.covers(number)));
        }
        let covered = self.lists.as_ref().map_or(0, |lists| lists.segments().count());
        let is_behind = count - listed >= MAX_UNLISTED.max(listed / LISTED_PER_UNLISTED);
        let is_sparse = listed * 2 < covered;
        count * SEGMENT_ROWS > EXACT_ROWS && (is_behind || is_sparse)
    }

    /// The lists that are to be made.
    pub(crate) fn next_listing(&self) -> Option<Listing> {
        let full = self.segments().map(|(number, full)| (number, Arc::clone(&full.segment)));
        let plan = Plan {
            segments: full.collect(),
            from: self.lists.clone(),
            dimensions: self.dimensions,
        };
        self.wants_lists().then(|| Listing { home: self.home.clone(), plan })
    }

    /// Looks through these from now on, if they are of the segments that are there: another
    /// model's may have come meanwhile.
    pub(crate) fn set_lists(&mut self, lists: Lists) {
        let segment =
            |number: u32| self.full.get(number as usize)?.as_ref().map(|full| &*full.segment);
        if lists.dimensions() == self.dimensions && lists.fit(segment) {
            self.lists = Some(Arc::new(lists));
        }
    }
}
