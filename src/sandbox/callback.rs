//! Callbacks: how a report's id is joined to its address, and how the call is made.
//!
//! `POST {address}/{id}` or `GET {address}?reportId={id}`, without a body and without any proof of who calls.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use url::Url;

use super::fault::{Fault, Faults};
use super::handle::Handle;
use super::world::{Answer, CallbackMethod, CallbackSent, Report};

const AT_ONCE: usize = 32;

/// A callback that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) report_id: String,
    pub(super) method: CallbackMethod,
    pub(super) url: String,
}

/// A callback that is held back.
#[derive(Debug)]
pub(super) struct Delayed {
    pub(super) due_at: DateTime<Utc>,
    pub(super) call: Call,
}

/// The callback of a report, if it has an address.
pub(super) fn of(report: &Report, faults: &mut Faults) -> Option<Call> {
    let address = report.terms.callback_url.as_deref()?;
    let method = report.terms.callback_method;
    let url = if faults.take(Fault::CallbackConcatenated) {
        concatenated(address, method, &report.id)
    } else {
        joined(address, method, &report.id)
    };
    Some(Call { report_id: report.id.clone(), method, url })
}

/// Sends callbacks and records their answers.
pub(super) async fn send(handle: &Handle, calls: Vec<Call>) {
    stream::iter(calls).for_each_concurrent(AT_ONCE, |call| send_one(handle, call)).await;
}

fn joined(address: &str, method: CallbackMethod, id: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return concatenated(address, method, id) };
    match method {
        CallbackMethod::Get => {
            url.query_pairs_mut().append_pair("reportId", id);
        }
        CallbackMethod::Post => {
            let path = format!("{}/{id}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
    }
    url.into()
}

fn concatenated(address: &str, method: CallbackMethod, id: &str) -> String {
    match method {
        CallbackMethod::Get => format!("{address}?reportId={id}"),
        CallbackMethod::Post => format!("{address}/{id}"),
    }
}

async fn send_one(handle: &Handle, call: Call) {
    let request = match call.method {
        CallbackMethod::Get => handle.client().get(&call.url),
        CallbackMethod::Post => handle.client().post(&call.url),
    };
    let answer = match request.send().await {
        Ok(response) => Answer::Status(response.status().as_u16()),
        Err(error) => Answer::Failed(error.without_url().to_string()),
    };
    let sent = CallbackSent { at: handle.now(), report_id: call.report_id, method: call.method, url: call.url, answer };
    handle.with(|world| world.add_callback(sent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_joined_to_any_address_and_concatenated_only_on_purpose() {
        let (get, post) = (CallbackMethod::Get, CallbackMethod::Post);
        for (make, address, method, expected) in [
            (joined as fn(&str, CallbackMethod, &str) -> String, "http://h/p", post, "http://h/p/7"),
            (joined, "http://h/p/", post, "http://h/p/7"),
            (joined, "http://h/p?a=b", post, "http://h/p/7?a=b"),
            (joined, "http://h/p", get, "http://h/p?reportId=7"),
            (joined, "http://h/p?a=b", get, "http://h/p?a=b&reportId=7"),
            (concatenated, "http://h/p?a=b", get, "http://h/p?a=b?reportId=7"),
            (concatenated, "http://h/p?", post, "http://h/p?/7"),
        ] {
            assert_eq!(make(address, method, "7"), expected);
        }
    }
}
