//! Which data can be asked for, and what a query must name to be taken.
//!
//! A handful of the documented datasets under their documented system queries. Of the query language only the `SELECT`
//! list and the dataset are read; conditions are neither checked nor applied.

use chrono::DateTime;

use super::rules::Refusal;
use super::world::{Program, Query};

const LONG_RANGES: &[&str] = &["LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR", "LIFETIME"];
const ISV_RANGES: &[&str] = &["LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LIFETIME"];
/// 2021-03-01, about when the API was first described.
const SYSTEM_QUERIES_MADE_AT: i64 = 1_614_556_800;

/// One dataset.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) program: Program,
    pub(super) name: &'static str,
    /// With blanks between them.
    columns: &'static str,
    metrics: &'static str,
    pub(super) ranges: &'static [&'static str],
    /// In hours; only mpn tells it.
    pub(super) minimum_interval: Option<u32>,
    system_query: &'static str,
}

impl Dataset {
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split_whitespace()
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = &'static str> {
        self.metrics.split_whitespace()
    }
}

/// What a query asks for.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) dataset: &'static Dataset,
    /// Columns and metrics, spelled as the dataset spells them.
    pub(super) columns: Vec<String>,
}

/// The datasets of one product.
pub(super) fn of(program: Program) -> impl Iterator<Item = &'static Dataset> {
    DATASETS.iter().filter(move |dataset| dataset.program == program)
}

/// Reads a query as far as the dataset and its columns.
pub(super) fn select(program: Program, text: &str) -> Result<Selection, Refusal> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // ASCII lower case keeps every offset.
    let lower = text.to_ascii_lowercase();
    let from = lower.find(" from ").ok_or_else(|| Refusal::bad("Invalid table name"))?;
    let list = lower[..from].strip_prefix("select ").ok_or_else(|| Refusal::bad("Incorrect column name"))?;
    let list = list.strip_prefix("distinct ").unwrap_or(list);
    let name = lower[from + " from ".len()..].split(' ').next().unwrap_or_default().trim_end_matches(';');
    let dataset = of(program)
        .find(|dataset| dataset.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| Refusal::bad("Invalid table name"))?;
    let columns = list.split(',').map(|wanted| column(dataset, wanted.trim())).collect::<Result<_, _>>()?;
    Ok(Selection { dataset, columns })
}

/// One query for each dataset, of all its columns, which exists without anyone having made it.
pub(super) fn system_queries() -> Vec<Query> {
    DATASETS
        .iter()
        .map(|dataset| Query {
            id: dataset.system_query.to_owned(),
            program: dataset.program,
            name: format!("{} system query", dataset.name),
            description: None,
            text: format!("SELECT {} FROM {}", dataset.columns().collect::<Vec<_>>().join(","), dataset.name),
            account: None,
            created_at: DateTime::from_timestamp(SYSTEM_QUERIES_MADE_AT, 0).unwrap_or_default(),
        })
        .collect()
}

fn column(dataset: &'static Dataset, wanted: &str) -> Result<String, Refusal> {
    let known = dataset.columns().chain(dataset.metrics()).find(|known| known.eq_ignore_ascii_case(wanted));
    known.map(str::to_owned).ok_or_else(|| Refusal::bad("Incorrect column name"))
}

const DATASETS: [Dataset; 9] = [
    Dataset {
        program: Program::Mpn,
        name: "OfficeUsage",
        columns: "CustomerTenantId CustomerTpid WorkloadName Month PaidAvailableUnits MonthlyActiveUsers CustomerName \
                  CustomerMarket CustomerSegment MPNId PGAMpnId PartnerName PartnerLocation PartnerAttributionType \
                  IsDuplicateRowForPGA",
        metrics: "CustomerCount CustomerTenantCount TotalPaidAvailableUnits TotalMonthlyActiveUsers",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        system_query: "d8349f7b-a7d1-467e-b26d-434d4a50f26a",
    },
    Dataset {
        program: Program::Mpn,
        name: "AzureUsage",
        columns: "PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate FirstUseDate SubscriptionState Month \
                  ServiceName MeterCategory UsageUnits UsageQuantity CustomerName CustomerTenantId CustomerTpid \
                  CustomerSegment CustomerMarket MpnId PartnerName PartnerLocation PartnerAttributionType SalesChannel \
                  EnrollmentNumber IsACRDuplicateAtPGALevel ResellerID ResellerName MonthlySubscriptionLevelACR TotalACR",
        metrics: "CustomerCount SubscriptionCount TotalUsageQuantity",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        system_query: "d1a4d75e-5ca8-4847-845f-ee0a9be6f07b",
    },
    Dataset {
        program: Program::Mpn,
        name: "DynamicsUsage",
        columns: "SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionState Month CustomerName \
                  CustomerTenantId CustomerTpid DUNSNumber CustomerSegment TopSegment CustomerMarket Product SKU \
                  RevSumDivisionName RevSumCategoryName MpnId PGAMpnId PartnerName PartnerLocation \
                  PartnerAttributionType SalesChannel IsDuplicateRowForPGA TotalSoldSeatsMonthly AssignedSeatsMonthly \
                  ActiveSeatsMonthly RevenueUSD",
        metrics: "SubscriptionCount TotalAssignedSeats TotalSoldSeats TotalActiveSeats TotalRevenueAndACR CustomerCount \
                  CustomerTenantCount",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        system_query: "6209a8fd-93af-442e-8b3f-3df0f77e8463",
    },
    Dataset {
        program: Program::Mpn,
        name: "SeatsSubscriptionsAndRevenue",
        columns: "PGAMpnId MpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionState Month \
                  IsAutoRenew CustomerName CustomerTenantId CustomerTpid DUNSNumber CustomerSegment TopSegment \
                  CustomerMarket ProductFamily ReportingProductName Product RawProductName ProductPartNumber SKU \
                  RevSumDivisionName PartnerName SolutionArea PartnerLocation PartnerAttributionType SalesChannel \
                  PricingLevel EnrollmentNumber IsDuplicateRowForPGA SubscriptionStartMonth TotalSoldSeats \
                  TotalAssignedSeats BilledRevenueUSD AzureConsumedRevenueUSD",
        metrics: "CustomerCount SubscriptionCount TotalRevenue",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        system_query: "c9fc1c79-4408-49ff-97f9-e1aa3f155804",
    },
    Dataset {
        program: Program::Mpn,
        name: "CustomersAndTenants",
        columns: "PGAMpnId MpnId PartnerName CustomerName CustomerTpid DUNSNumber CustomerSegment TopSegment \
                  CustomerMarket CustomerStatus CustomerTenantId CustomerTenantName CustomerTenantCountry \
                  TenantDomainName Product RawProductName ProductPartNumber SKU Month PartnerLocation \
                  PartnerAttributionType SalesChannel IsDuplicateRowForPGA AvailableSeats BilledRevenueUSD \
                  AzureConsumedRevenueUSD",
        metrics: "CustomerCount CustomerTenantCount",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        system_query: "6664daf3-c161-423a-92a1-0ea6db2c0384",
    },
    Dataset {
        program: Program::Mpn,
        name: "Profile",
        columns: "MPNId PartnerName PGA_MPNId PGA_PartnerName City Country HierarchyLevel",
        metrics: "",
        ranges: &["LIFETIME"],
        minimum_interval: Some(24),
        system_query: "e65f3a4f-fb99-4319-97ff-59e57566a871",
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVOrder",
        columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType Sku CustomerCountry IsPreviewSKU \
                  OrderId OrderQuantity CloudInstanceName IsNewCustomer OrderStatus OrderCancelDate \
                  CustomerCompanyName CustomerName OrderPurchaseDate OfferName TrialEndDate CustomerId \
                  BillingAccountId",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        system_query: "fd0f299c-5a1c-4929-9f48-bfc6cc44355d",
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVUsage",
        columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType Sku \
                  CustomerCountry IsPreviewSKU SkuBillingType VMSize CloudInstanceName OfferName DeploymentMethod \
                  CustomerName CustomerCompanyName UsageDate IsNewCustomer CoreSize TrialEndDate CustomerId \
                  BillingAccountId UsageQuantity UsageUnits",
        metrics: "NormalizedUsage RawUsage MeteredUsage",
        ranges: ISV_RANGES,
        minimum_interval: None,
        system_query: "2c6f384b-ad52-4aed-965f-32bfa09b3778",
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVRevenue",
        columns: "BillingAccountId CustomerCompanyName CustomerName CustomerCountry CustomerId CurrencyCode \
                  EarningAmount EstimatedPayoutMonth LineItemId Month OfferName OfferType OrderId PayoutStatus Product \
                  RevenueUSD Sku TermStartDate TermEndDate UnitPrice UsageQuantity",
        metrics: "TotalRevenue",
        ranges: ISV_RANGES,
        minimum_interval: None,
        system_query: "bf54dde4-7dc4-492f-a69a-f45de049bfcb",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        select(Program::Mpn, text).unwrap_err().message
    }

    #[test]
    fn a_query_names_its_columns_in_any_case_and_spacing() {
        let query = "select  DISTINCT customername,\n month , CustomerCount from officeusage TIMESPAN LAST_MONTH";

        let selection = select(Program::Mpn, query).unwrap();

        assert_eq!(selection.dataset.name, "OfficeUsage");
        assert_eq!(selection.columns, ["CustomerName", "Month", "CustomerCount"]);
    }

    #[test]
    fn a_query_of_unknown_things_is_refused_in_the_documented_words() {
        assert_eq!(refusal("SELECT Month FROM ISVOrder"), "Invalid table name");
        assert_eq!(refusal("SELECT Month"), "Invalid table name");
        assert_eq!(refusal("SELECT * FROM OfficeUsage"), "Incorrect column name");
        assert_eq!(refusal("SELECT Month, Moon FROM OfficeUsage"), "Incorrect column name");
        assert_eq!(refusal("DELETE Month FROM OfficeUsage"), "Incorrect column name");
    }

    #[test]
    fn every_system_query_could_be_asked_by_anyone() {
        for query in system_queries() {
            assert!(select(query.program, &query.text).is_ok(), "{}", query.name);
        }
    }
}
