//! Messages to send: a usual one, and one that no channel could show as it is.

use serde_json::json;
use tidings::channel::{Link, Message, Table, Tone};

/// A message as a ready report makes it.
pub(crate) fn usual() -> Message {
    Message {
        id: "01993f7e-7c9a-7aaf-8a6f-2f3c5d6e7f80".into(),
        kind: "report.ready".into(),
        subject: "[Ready] Tägliche Umsätze – 2026-11-19".into(),
        title: "Tägliche Umsätze is ready".into(),
        tone: Tone::Good,
        summary: "The report of 19 November arrived 4 minutes after it was expected and is in the archive.".into(),
        facts: [
            ("Report", "Tägliche Umsätze"),
            ("Arrived", "2026-11-20T06:02:11Z"),
            ("Rows", "12,431"),
            ("Size", "3.4 MB"),
            ("File", "daily_sales_2026-11-19.csv"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        table: Some(Table {
            title: "First rows".into(),
            columns: ["Customer", "Product", "Seats", "Revenue (EUR)"].map(String::from).to_vec(),
            rows: [
                ["Contoso", "Microsoft 365 E5", "1,200", "64,800.00"],
                ["Fabrikam", "Azure Plan", "–", "18,412.55"],
                ["Größe & Söhne", "Dynamics 365 Sales", "35", "3,325.00"],
            ]
            .map(|row| row.map(String::from).to_vec())
            .to_vec(),
        }),
        links: vec![
            link("Download the report", "https://tidings.example/share/abc?token=SIGNED-LINK-TOKEN"),
            link("Open in Tidings", "https://tidings.example/reports/1"),
        ],
        reason: "You get this because you subscribed to Tägliche Umsätze.".into(),
        thread: Some("report-01993f7e".into()),
        unsubscribe: Some("https://tidings.example/unsubscribe/UNSUBSCRIBE-TOKEN".parse().unwrap()),
        payload: json!({"type": "report.ready", "timestamp": "2026-11-20T06:02:11Z", "data": {"report": {"name": "Größe"}}}),
    }
}

/// Everything too long, too many and hostile.
pub(crate) fn monstrous() -> Message {
    let hostile = "<!channel> *x* | > \r\nBcc: evil@example.com\n`_~[a](https://b) {{ 7*7 }} & Ünï\u{1F600}";
    let long = hostile.repeat(100 * 1024 / hostile.len());
    Message {
        subject: long.clone(),
        title: long.clone(),
        summary: long.clone(),
        facts: (0..1000).map(|_| (long.clone(), long.clone())).collect(),
        table: Some(Table {
            title: long.clone(),
            columns: (0..60).map(|_| hostile.repeat(3)).collect(),
            rows: (0..1000).map(|_| (0..60).map(|_| hostile.repeat(3)).collect()).collect(),
        }),
        links: (0..100)
            .map(|at| link(hostile, &format!("https://tidings.example/{}/{at}?a=|<>", "y".repeat(at * 40))))
            .collect(),
        reason: long.clone(),
        ..usual()
    }
}

fn link(label: &str, url: &str) -> Link {
    Link { label: label.into(), url: url.parse().unwrap() }
}
