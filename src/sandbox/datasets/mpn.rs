//! The datasets of Partner Insights, without those of CLAS.
//!
//! Facts of the documentation of 2021 to 2023, spelled as there, the misspelled ones too.

use super::{Dataset, LIFETIME_ONLY, LONG_RANGES, SystemQuery};
use crate::sandbox::world::Program;

pub(super) const DATASETS: &[Dataset] = &[
    Dataset {
        program: Program::Mpn,
        name: "CustomersAndTenants",
        alias: None,
        columns: "PGAMpnId MpnId PartnerName CustomerName CustomerTpid DUNSNumber CustomerSegment TopSegment \
              CustomerMarket CustomerStatus CustomerTenantId CustomerTenantName CustomerTenantCountry \
              TenantDomainName Product RawProductName ProductPartNumber SKU Month PartnerLocation \
              PartnerAttributionType SalesChannel IsDuplicateRowForPGA AvailableSeats BilledRevenueUSD \
              AzureConsumedRevenueUSD",
        metrics: "CustomerCount CustomerTenantCount",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "6664daf3-c161-423a-92a1-0ea6db2c0384",
            name: "CustomersAndTenants",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "SeatsSubscriptionsAndRevenue",
        alias: None,
        columns: "PGAMpnId MpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionState Month \
              IsAutoRenew CustomerName CustomerTenantId CustomerTpid DUNSNumber CustomerSegment TopSegment \
              CustomerMarket ProductFamily ReportingProductName Product RawProductName ProductPartNumber SKU \
              RevSumDivisionName PartnerName SolutionArea PartnerLocation PartnerAttributionType SalesChannel \
              PricingLevel EnrollmentNumber IsDuplicateRowForPGA SubscriptionStartMonth TotalSoldSeats \
              TotalAssignedSeats BilledRevenueUSD AzureConsumedRevenueUSD",
        metrics: "CustomerCount SubscriptionCount TotalRevenue",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "c9fc1c79-4408-49ff-97f9-e1aa3f155804",
            name: "SeatsSubscriptionsAndRevenue",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "AzureUsage",
        alias: None,
        columns: "PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate FirstUseDate SubscriptionState \
              Month ServiceName MeterCategory UsageUnits UsageQuantity CustomerName CustomerTenantId \
              CustomerTpid CustomerSegment CustomerMarket MpnId PartnerName PartnerLocation \
              PartnerAttributionType SalesChannel EnrollmentNumber IsACRDuplicateAtPGALevel ResellerID \
              ResellerName MonthlySubscriptionLevelACR TotalACR ServiceLevel1 ServiceLevel2 ServiceLevel3 \
              ServiceLevel4 ServiceGroup2 ServiceGroup3 ServiceInfluencer ComputeOS ComputeCoreSoftware \
              IndustryName VerticalName EOU AdminType AssociationType ACR_USD",
        metrics: "CustomerCount SubscriptionCount TotalUsageQuantity",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "d1a4d75e-5ca8-4847-845f-ee0a9be6f07b",
            name: "AzureUsage",
            columns: "PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate FirstUseDate SubscriptionState \
              Month ServiceName MeterCategory UsageUnits UsageQuantity CustomerName CustomerTenantId \
              CustomerTpid CustomerSegment CustomerMarket MpnId PartnerName PartnerLocation \
              PartnerAttributionType SalesChannel EnrollmentNumber IsACRDuplicateAtPGALevel ResellerID \
              ResellerName MonthlySubscriptionLevelACR TotalACR",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "MSLearn",
        alias: None,
        columns: "UserName UserId TrainingName TrainingType Products Roles CompletionDate MPNId PartnerName \
              CustomerMarket",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "0e06c7c3-75ab-4cd5-8178-8cf1a2de49cc",
            name: "MSLearn",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "OfficeUsage",
        alias: None,
        columns: "CustomerTenantId CustomerTpid WorkloadName Month PaidAvailableUnits MonthlyActiveUsers \
              CustomerName CustomerMarket CustomerSegment MPNId PartnerName PartnerLocation \
              PartnerAttributionType IsDuplicateRowForPGA PGAMpnId",
        metrics: "CustomerCount CustomerTenantCount TotalPaidAvailableUnits TotalMonthlyActiveUsers",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "d8349f7b-a7d1-467e-b26d-434d4a50f26a",
            name: "OfficeUsage",
            columns: "CustomerTenantId CustomerTpid WorkloadName Month PaidAvailableUnits MonthlyActiveUsers \
              CustomerName CustomerMarket CustomerSegment MPNId PartnerName PartnerLocation \
              PartnerAttributionType IsDuplicateRowForPGA",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "Profile",
        alias: None,
        columns: "MPNId PartnerName PGA_MPNId PGA_PartnerName City Country HierarchyLevel",
        metrics: "",
        ranges: LIFETIME_ONLY,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "e65f3a4f-fb99-4319-97ff-59e57566a871",
            name: "Profile",
            columns: "",
            conditions: "",
            range: None,
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "TrainingCompletions",
        alias: None,
        columns: "TrainingActivityId TrainingTitle TrainingType AADUserId TrainingCompletionDate Month IcMCP MCPID \
              MPNId PartnerName PartnerCityLocation PartnerCountryLocation PGAMpnId IndividualFirstName \
              IndividualLastName Email CorpEmail ExpirationDate ActivationStatus",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "20f5da57-3c2a-481b-b6a0-ec34d6db14e2",
            name: "TrainingCompletions",
            columns: "TrainingActivityId TrainingTitle TrainingType AADUserId TrainingCompletionDate Month IcMCP MCPID \
              MPNId PartnerName PartnerCityLocation PartnerCountryLocation",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "DynamicsUsage",
        alias: None,
        columns: "PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month \
              RevSumDivisionName RevSumCategoryName SKU SKUId FreeVsPaidSKU SalesModel DetailedSalesModel \
              CustomerName CustomerTenantId CustomerTpid CustomerSegment CustomerMarket MPNId PartnerName \
              PartnerLocation PartnerAttachType AvailableSeats AssignedSeats ActiveSeats DeploymentOpportunity \
              ActiveUsagePercent",
        metrics: "SubscriptionCount TotalAssignedSeats TotalSoldSeats TotalActiveSeats TotalRevenueAndACR CustomerCount CustomerTenantCount",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "6209a8fd-93af-442e-8b3f-3df0f77e8463",
            name: "DynamicsUsage",
            columns: "SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month \
              RevSumDivisionName RevSumCategoryName SKU SKUId FreeVsPaidSKU SalesModel DetailedSalesModel \
              CustomerName CustomerTenantId CustomerTpid CustomerSegment CustomerMarket MPNId PartnerName \
              PartnerLocation PartnerAttachType AvailableSeats AssignedSeats ActiveSeats DeploymentOpportunity \
              ActiveUsagePercent",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "CompetencySummaryHistory",
        alias: None,
        columns: "CompetencyName CompetencyLevel CompetencyStatus CompetencyStartDate CompetencyEndDate",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[],
    },
    Dataset {
        program: Program::Mpn,
        name: "PowerBIUsage",
        alias: None,
        columns: "SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month SKU SKUId \
              FreeVsPaidSKU SalesModel DetailedSalesModel CustomerName CustomerTenantId CustomerTpid \
              CustomerSegment CustomerMarket MPNId PartnerName PartnerLocation PartnerAttachType \
              PartnerHierarchy AvailableSeats AssignedSeats ActiveSeats DeploymentOpportunity ActiveUsagePercent",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "40ebfe2f-7183-4427-a911-5c9b45b6df15",
            name: "PowerBIUsage",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "EMSUsage",
        alias: None,
        columns: "SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month SKU SKUId \
              FreeVsPaidSKU SalesModel DetailedSalesModel CustomerName CustomerTenantId CustomerTpid \
              CustomerSegment CustomerMarket MPNId PartnerName PartnerLocation PartnerAttachType \
              PartnerHierarchy PaidAvailableUnits MonthlyActiveUsers AADPPaidAvailableUnits \
              IntunePaidAvailableUnits AzipPaidAvailableUnits AADPMonthlyActiveUsers IntuneMonthlyActiveUsers \
              AzipMonthlyActiveUsers",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "d7f20ea4-8751-4d6b-b1d7-821c316acd6a",
            name: "EMSUsage",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "CompetencyPeformanceRequirement",
        alias: None,
        columns: "CompetencyName CompetencyAttainmentOptionName Month MetricName MetricMonthlyContribution \
              TTMAggregate AnniversaryYearAggregate GoldThreshold SilverThreshold",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[],
    },
    Dataset {
        program: Program::Mpn,
        name: "ResellerPerformance",
        alias: Some("CloudProductsResellerPerformance"),
        columns: "ResellerMpnId ResellerName ResellerMarket IndirectProviderMPNId IndirectProviderName Month Product \
              SubscriptionID AvailableSeats AssignedSeats BilledRevenueUSD CustomerName CustomerTPid \
              CustomerSegment CustomerMarket ResellerStatus",
        metrics: "CustomerCount SubscriptionCount TotalAvailableSeats TotalAssignedSeats TotalRevenue",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "c09c2eda-861b-4664-8ee8-48a14745a26a",
            name: "ResellerPerformance",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "TeamsUsage3PApps",
        alias: None,
        columns: "CustomerId CustomerTenantId CustomerName CustomerCountry DateKey AppName UserCount",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "42d287be-cc76-4109-a066-f3140ad97fe2",
            name: "TeamsUsage3PApps",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "TeamsUsageWorkload",
        alias: None,
        columns: "CustomerId CustomerTenantId MonthKey SubWorkload DesktopUsers WebUsers MobileUsers \
              AllUpPartiticipants",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "817fe875-acb0-4c45-9201-b7a35a60235a",
            name: "TeamsUsageWorkload",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Mpn,
        name: "TeamsUsageMeetingsAndCalls",
        alias: None,
        columns: "CustomerId CustomerTenantId DateKey SubWorkload MeetingCount MeetingDuration",
        metrics: "",
        ranges: LONG_RANGES,
        minimum_interval: Some(24),
        queries: &[SystemQuery {
            id: "b7bd73a8-47e8-4c57-b915-445708cfd7bf",
            name: "TeamsUsageMeetingsAndCalls",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
];
