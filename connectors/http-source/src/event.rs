//! `POST /event`: one event, answered with 204 once it is durable.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::time::{Instant, timeout_at};

use crate::answer::Refusal;
use crate::body::{BodyFormat, no_schema, schema_ref};
use crate::intake::Intake;

pub(crate) async fn post(
    State(intake): State<Arc<Intake>>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let result = accept(&intake, request).await;
    intake.count(&result);
    result.map(|()| StatusCode::NO_CONTENT)
}

async fn accept(intake: &Intake, request: Request) -> Result<(), Refusal> {
    let deadline = Instant::now() + intake.timeout;
    let format = BodyFormat::of_event(request.headers())?;
    let reference = schema_ref(request.headers())?
        .or_else(|| intake.schema.clone())
        .ok_or_else(no_schema)?;
    let (body, room) = intake.read_body(request, deadline).await?;
    let outcome = timeout_at(deadline, intake.take_in(&reference, format, body, room))
        .await
        .unwrap_or_else(|_| Err(Refusal::late()))?;
    match timeout_at(deadline, outcome).await {
        Ok(outcome) => intake.queue.settle(outcome.ok()),
        Err(_) => Err(Refusal::unknown()),
    }
}
