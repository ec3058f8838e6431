//! The kinds of things: where the admin API has them, and what a list shows of them.

/// One kind.
pub(super) struct Kind {
    /// The word for one.
    pub(super) word: &'static str,
    /// Where the admin API has them.
    pub(super) path: &'static str,
    /// The columns of a list: a heading, and where the value is.
    pub(super) columns: &'static [(&'static str, &'static str)],
}

pub(super) const ACCOUNT: Kind = Kind {
    word: "account",
    path: "accounts",
    columns: &[
        ("NAME", "/name"),
        ("PROGRAM", "/program"),
        ("STATE", "/state"),
        ("FAILURE", "/last_failure"),
        ("ID", "/id"),
    ],
};

pub(super) const QUERY: Kind =
    Kind { word: "query", path: "queries", columns: &[("NAME", "/name"), ("ID", "/id"), ("TEXT", "/text")] };

pub(super) const DATASET: Kind = Kind {
    word: "dataset",
    path: "datasets",
    columns: &[
        ("NAME", "/name"),
        ("HOURS", "/minimum_interval_hours"),
        ("SPANS", "/date_ranges"),
        ("COLUMNS", "/columns"),
    ],
};

pub(super) const REPORT: Kind = Kind {
    word: "report",
    path: "reports",
    columns: &[
        ("NAME", "/name"),
        ("STATE", "/state"),
        ("HOURS", "/interval_hours"),
        ("EXPECTED", "/expected_at"),
        ("ARRIVED", "/arrived_at"),
        ("FAILURE", "/last_failure"),
        ("ID", "/id"),
    ],
};

/// What exists at the API, whoever made it.
pub(super) const REMOTE_REPORT: Kind = Kind {
    word: "report",
    path: "reports",
    columns: &[
        ("NAME", "/name"),
        ("STATUS", "/status"),
        ("HOURS", "/interval_hours"),
        ("CALLS", "/callback"),
        ("OURS", "/report_id"),
        ("REMOTE ID", "/remote_id"),
    ],
};

pub(super) const EXECUTION: Kind = Kind {
    word: "execution",
    path: "executions",
    columns: &[
        ("FOUND", "/found_at"),
        ("STATE", "/state"),
        ("STATUS", "/status"),
        ("BY", "/found_by"),
        ("ROWS", "/file/rows"),
        ("FAILURE", "/failure"),
        ("ID", "/id"),
    ],
};

pub(super) const FILE: Kind = Kind {
    word: "file",
    path: "files",
    columns: &[
        ("STORED", "/stored_at"),
        ("ROWS", "/rows"),
        ("BYTES", "/size_bytes"),
        ("ID", "/id"),
        ("LOCATION", "/location"),
    ],
};

pub(super) const EVENT: Kind = Kind {
    word: "event",
    path: "events",
    columns: &[
        ("SEQ", "/seq"),
        ("OCCURRED", "/occurred_at"),
        ("KIND", "/kind"),
        ("REPORT", "/data/report/name"),
        ("ID", "/id"),
    ],
};

pub(super) const CALLBACK: Kind = Kind {
    word: "callback",
    path: "callbacks",
    columns: &[
        ("RECEIVED", "/received_at"),
        ("METHOD", "/method"),
        ("VERDICT", "/verdict"),
        ("FROM", "/remote_address"),
        ("REPORT", "/report_id"),
        ("ID", "/id"),
    ],
};

pub(super) const SUBSCRIPTION: Kind = Kind {
    word: "subscription",
    path: "subscriptions",
    columns: &[
        ("NAME", "/name"),
        ("CHANNEL", "/endpoint/channel"),
        ("TO", "/endpoint/shown"),
        ("STATE", "/state"),
        ("EVENTS", "/events"),
        ("FAILURE", "/last_failure"),
        ("ID", "/id"),
    ],
};

pub(super) const DELIVERY: Kind = Kind {
    word: "delivery",
    path: "deliveries",
    columns: &[
        ("MADE", "/created_at"),
        ("EVENT", "/event_kind"),
        ("TO", "/subscription_name"),
        ("CHANNEL", "/channel"),
        ("STATE", "/state"),
        ("TRIES", "/tries"),
        ("REASON", "/reason"),
        ("ID", "/id"),
    ],
};

pub(super) const KEY: Kind = Kind {
    word: "key",
    path: "keys",
    columns: &[("NAME", "/name"), ("SCOPES", "/scopes"), ("USED", "/last_used_at"), ("ID", "/id")],
};
