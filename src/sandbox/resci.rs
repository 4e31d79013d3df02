//! ReSci (Retention Science), customer data: `https://data.retentionscience.com/v3`, `Authorization: ApiKey KEY`.
//!
//! Its documentation is not public. The requests (a form with `import_type` and one file for each table) and the error
//! body (`message`) are those of its Singer target, `target-resci`; the shape of an import job is ours.

use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use serde_json::{Value, json};

use super::authorization::{Presented, constant};
use super::date::timestamp;
use super::http::{Answer, Arrived, challenge, json_answer};
use super::keys::Keys;
use super::multipart;

pub(super) struct Resci {
    keys: Arc<Keys>,
    /// In the order of their ids, which count from 1.
    jobs: Mutex<Vec<Value>>,
}

impl Resci {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, jobs: Mutex::default() }
    }

    pub(super) fn answer(&self, request: &Arrived) -> Answer {
        match constant(&request.parts.headers, "ApiKey", self.keys.resci.expose()) {
            Presented::Right => self.route(request),
            Presented::Wrong => challenge("ApiKey", &json!({ "message": "Invalid API key" })),
            Presented::Nothing => challenge("ApiKey", &json!({ "message": "API key is missing" })),
        }
    }

    fn route(&self, request: &Arrived) -> Answer {
        match request.route() {
            ("POST", "/v3/import_jobs") => self.import(request),
            ("GET", "/v3/import_jobs") => {
                let jobs: Vec<Value> = self.jobs().iter().rev().take(10).cloned().collect();
                json_answer(StatusCode::OK, &json!({ "import_jobs": jobs }))
            }
            ("GET", path) => self.job(path).unwrap_or_else(|| error(StatusCode::NOT_FOUND, "Not found")),
            _ => error(StatusCode::NOT_FOUND, "Not found"),
        }
    }

    fn import(&self, request: &Arrived) -> Answer {
        let Some(parts) = multipart::parse(&request.parts.headers, &request.body) else {
            return error(StatusCode::BAD_REQUEST, "The body is not multipart/form-data");
        };
        let Some(import_type) = parts.iter().find(|part| part.name == "import_type") else {
            return error(StatusCode::UNPROCESSABLE_ENTITY, "import_type is missing");
        };
        let files: Vec<Value> = parts
            .iter()
            .filter(|part| part.is_file)
            .map(|part| json!({ "table": part.name, "bytes": part.content.len() }))
            .collect();
        if files.is_empty() {
            return error(StatusCode::UNPROCESSABLE_ENTITY, "no file to import");
        }
        let mut jobs = self.jobs();
        let job = json!({
            "id": jobs.len() + 1,
            "status": "queued",
            "import_type": String::from_utf8_lossy(import_type.content),
            "files": files,
            "created_at": timestamp(request.now),
        });
        jobs.push(job.clone());
        json_answer(StatusCode::OK, &json!({ "import_job": job }))
    }

    fn job(&self, path: &str) -> Option<Answer> {
        let id: usize = path.strip_prefix("/v3/import_jobs/")?.parse().ok()?;
        let job = self.jobs().get(id.checked_sub(1)?)?.clone();
        Some(json_answer(StatusCode::OK, &json!({ "import_job": job })))
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "message": message }))
}
