//! Batches on their way into the index.

use super::Method::{Get, Post};
use super::description::Description;
use super::parameters::PAGE;
use super::{Described, Operation, PLAIN, WRITE, keyed};
use crate::problem::Code;
use crate::resource::documents;
use Jobs as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Jobs {
    List,
    Get,
    Cancel,
    Retry,
}

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, "/v1/jobs", WRITE, PLAIN, Operation::Jobs(Do::List), || {
        about("listJobs", "Batches on their way into the index")
            .query(PAGE)
            .json::<documents::JobPage>(200, "A page, newest first.")
            .problems(&[Code::InvalidCursor])
    }),
    keyed(Get, "/v1/jobs/{id}", WRITE, PLAIN, Operation::Jobs(Do::Get), || {
        about("getJob", "A batch on its way into the index")
            .json::<documents::Job>(200, "The job.")
            .problems(&[Code::UnknownJob])
    }),
    keyed(Post, "/v1/jobs/{id}/cancel", WRITE, PLAIN, Operation::Jobs(Do::Cancel), || {
        about("cancelJob", "Take out of a batch what search does not find yet")
            .json::<documents::Job>(
                200,
                "The job; what was taken out has failed as `cancelled` and is gone.",
            )
            .problems(&[Code::UnknownJob, Code::Busy])
    }),
    keyed(Post, "/v1/jobs/{id}/retry", WRITE, PLAIN, Operation::Jobs(Do::Retry), || {
        about("retryJob", "Try again what failed after it was stored")
            .json::<documents::Job>(200, "The job; what was never stored stays failed.")
            .problems(&[Code::UnknownJob, Code::Busy])
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "documents", summary)
}
