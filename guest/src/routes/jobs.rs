//! `/v1/jobs`

use http::StatusCode;
use ragtime_api::problem::Problem;
use ragtime_api::resource::documents::{Failure, Job, JobPage, JobWarning};
use ragtime_api::{parameters, time};

use super::RouteResult;
use crate::bindings::admission::Permit;
use crate::bindings::details::{self, JobWarnings};
use crate::bindings::store::{self, JobState};
use crate::call::Call;
use crate::reply;

/// `GET /v1/jobs`
pub(super) async fn list(call: Call) -> RouteResult {
    let page = parameters::page(call.query())?.into();
    let (jobs, next_cursor) = store::list_jobs(&call.permit, page).await?;
    let ids = jobs.iter().map(|job| job.id.clone()).collect();
    let warnings = details::of_jobs(&call.permit, ids).await?;
    let jobs = jobs.into_iter().zip(warnings).map(|(one, warnings)| job(one, warnings)).collect();
    Ok(reply::json(StatusCode::OK, &JobPage { jobs, next_cursor }))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn get(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let id = call.id().await?;
    let found = store::get_job(&call.permit, id).await?;
    Ok(reply::json(StatusCode::OK, &described(&call.permit, found).await?))
}

/// `POST /v1/jobs/{id}/cancel`
pub(super) async fn cancel(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let id = call.id().await?;
    let changed = store::cancel_job(&call.permit, id).await?;
    Ok(reply::json(StatusCode::OK, &described(&call.permit, changed).await?))
}

/// `POST /v1/jobs/{id}/retry`
pub(super) async fn retry(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let id = call.id().await?;
    let changed = store::retry_job(&call.permit, id).await?;
    Ok(reply::json(StatusCode::OK, &described(&call.permit, changed).await?))
}

/// A job with its warnings, as it is answered.
pub(super) async fn described(permit: &Permit, found: store::Job) -> Result<Job, Problem> {
    let warnings = details::of_jobs(permit, vec![found.id.clone()]).await?.into_iter().next();
    let none = JobWarnings { items: Vec::new(), total: 0 };
    Ok(job(found, warnings.unwrap_or(none)))
}

fn job(job: store::Job, warnings: JobWarnings) -> Job {
    let state = match job.state {
        JobState::Running => "running",
        JobState::Done => "done",
    };
    let taken = job.indexed.saturating_add(job.pending);
    let failed_count = job.received.saturating_sub(taken);
    let failed_truncated = (job.failed.len() as u64) < u64::from(failed_count);
    let failed = job.failed.into_iter();
    Job {
        job_id: job.id,
        collection: job.collection,
        state,
        accepted: taken,
        received: job.received,
        indexed: job.indexed,
        pending: job.pending,
        failed: failed
            .map(|failure| Failure {
                position: failure.position,
                id: failure.id,
                reason: failure.reason,
            })
            .collect(),
        failed_count,
        failed_truncated,
        warnings: warnings.items.into_iter().map(warning).collect(),
        warning_count: warnings.total,
        created_at: time::rfc3339(job.created_at),
    }
}

fn warning(of: details::JobWarning) -> JobWarning {
    let details::Warning { code, page, detail } = of.warning;
    JobWarning { position: of.position, id: of.id, code, page, detail }
}
