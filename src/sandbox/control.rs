//! Changes to reports behind the back of whoever made them, as a colleague in Partner Center would make them.

use super::handle::Handle;
use super::world::{Report, ReportStatus};

impl Handle {
    /// Pauses an active report; false when there is none of this id.
    pub fn pause_report(&self, report_id: &str) -> bool {
        self.change(report_id, |report| {
            let is_active = report.status == ReportStatus::Active;
            if is_active {
                report.status = ReportStatus::Paused;
            }
            is_active
        })
    }

    /// Resumes a paused report; false when there is none of this id.
    pub fn resume_report(&self, report_id: &str) -> bool {
        self.change(report_id, |report| {
            let is_paused = report.status == ReportStatus::Paused;
            if is_paused {
                report.status = ReportStatus::Active;
            }
            is_paused
        })
    }

    /// Gives a report another name.
    pub fn rename_report(&self, report_id: &str, name: &str) -> bool {
        self.change(report_id, |report| {
            name.clone_into(&mut report.terms.name);
            true
        })
    }

    /// Gives a report another callback address, or none.
    pub fn redirect_report(&self, report_id: &str, callback_url: Option<&str>) -> bool {
        self.change(report_id, |report| {
            report.terms.callback_url = callback_url.map(str::to_owned);
            true
        })
    }

    /// Deletes a report with its executions.
    pub fn delete_report(&self, report_id: &str) -> bool {
        self.with(|world| {
            let before = world.reports.len();
            world.reports.retain(|report| !report.id.eq_ignore_ascii_case(report_id));
            world.reports.len() < before
        })
    }

    fn change(&self, report_id: &str, change: impl FnOnce(&mut Report) -> bool) -> bool {
        let now = self.now();
        self.with(|world| {
            let found = world.reports.iter_mut().find(|report| report.id.eq_ignore_ascii_case(report_id));
            found.is_some_and(|report| {
                let changed = change(report);
                if changed {
                    report.modified_at = Some(now);
                }
                changed
            })
        })
    }
}
