//! Making and changing subscriptions.

use serde_json::json;
use sqlx::PgConnection;

use super::{FirstRows, Subscription, store};
use crate::channel::{Channel, Endpoint, signature};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::event::{self, About, Fact, Kind};
use crate::field::FieldErrors;
use crate::id::{EventId, ReportId, SubscriptionId};
use crate::outbound::Guard;
use crate::secret::{Keyring, Secret};

/// More reports than this can't be chosen; leave the choice out to have all.
pub const MOST_REPORTS: usize = 1000;

/// What is asked for when a subscription is made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// 1 to 100 characters.
    pub name: String,
    /// The kind of transport.
    pub channel: Channel,
    /// The mail address, of an email endpoint.
    pub to: Option<String>,
    /// The address, of any other.
    pub url: Option<Secret>,
    /// Which kinds; all when not given.
    pub events: Option<Vec<String>>,
    /// Which reports; all when not given.
    pub report_ids: Option<Vec<ReportId>>,
    /// A mail address.
    pub owner: Option<String>,
    /// Whether first rows are shown.
    pub first_rows: FirstRows,
    /// Whether it is made only if no other has its name.
    pub unique_name: bool,
}

/// A draft that was found right.
#[derive(Debug, Clone)]
pub struct Checked {
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
    pub(super) kinds: Option<Vec<Kind>>,
    pub(super) report_ids: Option<Vec<ReportId>>,
    pub(super) owner: Option<String>,
    pub(super) first_rows: FirstRows,
    unique_name: bool,
}

/// What of a subscription can change besides its endpoint and state.
#[derive(Debug, Clone)]
pub struct Terms {
    /// 1 to 100 characters.
    pub name: String,
    /// Which kinds; all when not given.
    pub kinds: Option<Vec<Kind>>,
    /// Which reports; all when not given.
    pub report_ids: Option<Vec<ReportId>>,
    /// A mail address.
    pub owner: Option<String>,
    /// Whether first rows are shown.
    pub first_rows: FirstRows,
}

impl Draft {
    /// Checks every field. A webhook gets a fresh secret.
    pub fn check(self, guard: &Guard) -> Result<Checked, FieldErrors> {
        let mut errors = FieldErrors::default();
        let endpoint = self.endpoint(&mut errors);
        if let Some(Err(refused)) = endpoint.as_ref().map(|endpoint| endpoint.check(guard)) {
            errors.add(&format!("endpoint.{}", refused.field), refused.message);
        }
        let terms = check_terms(&mut errors, &self.name, self.events, self.report_ids, self.owner, self.first_rows);
        match endpoint {
            Some(endpoint) => errors.result(Checked {
                name: terms.name,
                endpoint,
                kinds: terms.kinds,
                report_ids: terms.report_ids,
                owner: terms.owner,
                first_rows: terms.first_rows,
                unique_name: self.unique_name,
            }),
            None => Err(errors),
        }
    }

    fn endpoint(&self, errors: &mut FieldErrors) -> Option<Endpoint> {
        let url = || self.url.clone();
        let endpoint = match self.channel {
            Channel::Email => self.to.clone().map(|to| Endpoint::Email { to }),
            Channel::Slack => url().map(|url| Endpoint::Slack { url }),
            Channel::Teams => url().map(|url| Endpoint::Teams { url }),
            Channel::Webhook => url().map(|url| Endpoint::Webhook { url, secret: signature::generate() }),
        };
        if endpoint.is_none() {
            let field = if self.channel == Channel::Email { "endpoint.to" } else { "endpoint.url" };
            errors.add(field, "is needed for this channel");
        }
        endpoint
    }
}

impl Terms {
    /// Which fields are not as a subscription has them. The order of kinds and of reports says nothing.
    pub fn differs(&self, old: &Subscription) -> Vec<&'static str> {
        [
            ("name", self.name != old.name),
            ("events", !same(self.kinds.as_deref(), old.kinds.as_deref())),
            ("report_ids", !same(self.report_ids.as_deref(), old.report_ids.as_deref())),
            ("owner", self.owner != old.owner),
            ("first_rows", self.first_rows != old.first_rows),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}

fn same<T: PartialEq>(one: Option<&[T]>, other: Option<&[T]>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().all(|it| other.contains(it)) && other.iter().all(|it| one.contains(it)),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Checked {
    /// The endpoint alone.
    pub fn into_endpoint(self) -> Endpoint {
        self.endpoint
    }
}

/// Checks all that is not the endpoint.
pub fn check_terms(
    errors: &mut FieldErrors,
    name: &str,
    events: Option<Vec<String>>,
    report_ids: Option<Vec<ReportId>>,
    owner: Option<String>,
    first_rows: FirstRows,
) -> Terms {
    errors.text("name", name, 100);
    let kinds = events.map(|words| {
        errors.expect(!words.is_empty(), "events", "must name at least one kind; leave it out for all");
        words.iter().take(100).filter_map(|word| known_kind(errors, word)).collect()
    });
    if let Some(ids) = &report_ids {
        let fine = (1..=MOST_REPORTS).contains(&ids.len());
        errors.expect(fine, "report_ids", "must name 1 to 1000 reports; leave it out for all");
    }
    if let Some(owner) = &owner {
        let endpoint = Endpoint::Email { to: owner.clone() };
        errors.expect(endpoint.check(&Guard::default()).is_ok(), "owner", "must be a mail address");
    }
    Terms { name: name.trim().to_owned(), kinds, report_ids, owner, first_rows }
}

fn known_kind(errors: &mut FieldErrors, word: &str) -> Option<Kind> {
    let kind = word.parse().ok();
    if kind.is_none() {
        let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let shown: String = word.chars().take(40).collect();
        errors.add("events", format!("\"{shown}\" is no kind of event; known are {}", all.join(", ")));
    }
    kind
}

/// What is wrong with a new subscription beside those there are: another has the name that is asked for as a unique one.
/// Until the transaction ends, whoever else asks for the same name waits.
pub async fn misfits(conn: &mut PgConnection, checked: &Checked) -> Stored<FieldErrors> {
    let mut errors = FieldErrors::default();
    let is_taken = checked.unique_name && store::is_taken(conn, &checked.name).await?;
    errors.expect(!is_taken, "name", "is taken by another subscription");
    Ok(errors)
}

/// Adds a subscription. The second value is a webhook's secret, to be shown this once.
pub async fn create(
    conn: &mut PgConnection,
    clock: &Clock,
    keyring: &Keyring,
    checked: &Checked,
) -> Stored<(SubscriptionId, Option<Secret>)> {
    let id: SubscriptionId = clock.new_id();
    store::insert_subscription(conn, clock, keyring, id, checked).await?;
    let secret = match &checked.endpoint {
        Endpoint::Webhook { secret, .. } => Some(secret.clone()),
        Endpoint::Email { .. } | Endpoint::Slack { .. } | Endpoint::Teams { .. } => None,
    };
    Ok((id, secret))
}

/// Sends one subscription, and no other, a message to look at.
pub async fn test(conn: &mut PgConnection, clock: &Clock, id: SubscriptionId) -> Stored<EventId> {
    let subscription = store::subscription(conn, id).await?.ok_or(StoreError::Lost)?;
    let fact = Fact {
        kind: Kind::SubscriptionTest,
        key: format!("test:{id}:{}", clock.new_id::<EventId>()),
        about: About { subscription_id: Some(id), ..About::default() },
        data: json!({ "subscription": { "id": id, "name": subscription.name } }),
    };
    event::store::append(conn, clock, fact).await?.ok_or(StoreError::Lost)
}
