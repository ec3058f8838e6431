//! The datasets of Partner Insights, without those of CLAS.
//!
//! Facts of the documentation of 2021 to 2023, spelled as there, the misspelled ones too.

use super::{Dataset, LIFETIME_ONLY, SystemQuery};

pub(super) const DATASETS: &[Dataset] = &[
    Dataset {
        columns: &["PGAMpnId MpnId PartnerName CustomerName CustomerTpid DUNSNumber CustomerSegment TopSegment \
                    CustomerMarket CustomerStatus CustomerTenantId CustomerTenantName CustomerTenantCountry \
                    TenantDomainName Product RawProductName ProductPartNumber SKU Month PartnerLocation \
                    PartnerAttributionType SalesChannel IsDuplicateRowForPGA AvailableSeats BilledRevenueUSD \
                    AzureConsumedRevenueUSD"],
        metrics: "CustomerCount CustomerTenantCount",
        queries: &[SystemQuery::of("6664daf3-c161-423a-92a1-0ea6db2c0384")],
        ..Dataset::mpn("CustomersAndTenants")
    },
    Dataset {
        columns: &["PGAMpnId MpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionState \
                    Month IsAutoRenew CustomerName CustomerTenantId CustomerTpid DUNSNumber CustomerSegment \
                    TopSegment CustomerMarket ProductFamily ReportingProductName Product RawProductName \
                    ProductPartNumber SKU RevSumDivisionName PartnerName SolutionArea PartnerLocation \
                    PartnerAttributionType SalesChannel PricingLevel EnrollmentNumber IsDuplicateRowForPGA \
                    SubscriptionStartMonth TotalSoldSeats TotalAssignedSeats BilledRevenueUSD \
                    AzureConsumedRevenueUSD"],
        metrics: "CustomerCount SubscriptionCount TotalRevenue",
        queries: &[SystemQuery::of("c9fc1c79-4408-49ff-97f9-e1aa3f155804")],
        ..Dataset::mpn("SeatsSubscriptionsAndRevenue")
    },
    Dataset {
        columns: &["PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate FirstUseDate \
                    SubscriptionState Month ServiceName MeterCategory UsageUnits UsageQuantity CustomerName \
                    CustomerTenantId CustomerTpid CustomerSegment CustomerMarket MpnId PartnerName \
                    PartnerLocation PartnerAttributionType SalesChannel EnrollmentNumber IsACRDuplicateAtPGALevel \
                    ResellerID ResellerName MonthlySubscriptionLevelACR TotalACR ServiceLevel1 ServiceLevel2 \
                    ServiceLevel3 ServiceLevel4 ServiceGroup2 ServiceGroup3 ServiceInfluencer ComputeOS \
                    ComputeCoreSoftware IndustryName VerticalName EOU AdminType AssociationType ACR_USD"],
        metrics: "CustomerCount SubscriptionCount TotalUsageQuantity",
        queries: &[SystemQuery {
            without: "ServiceLevel1 ServiceLevel2 ServiceLevel3 ServiceLevel4 ServiceGroup2 ServiceGroup3 \
             ServiceInfluencer ComputeOS ComputeCoreSoftware IndustryName VerticalName EOU AdminType \
             AssociationType ACR_USD",
            ..SystemQuery::of("d1a4d75e-5ca8-4847-845f-ee0a9be6f07b")
        }],
        ..Dataset::mpn("AzureUsage")
    },
    Dataset {
        columns: &["UserName UserId TrainingName TrainingType Products Roles CompletionDate MPNId PartnerName \
                    CustomerMarket"],
        queries: &[SystemQuery::of("0e06c7c3-75ab-4cd5-8178-8cf1a2de49cc")],
        ..Dataset::mpn("MSLearn")
    },
    Dataset {
        columns: &["CustomerTenantId CustomerTpid WorkloadName Month PaidAvailableUnits MonthlyActiveUsers \
                    CustomerName CustomerMarket CustomerSegment MPNId PartnerName PartnerLocation \
                    PartnerAttributionType IsDuplicateRowForPGA PGAMpnId"],
        metrics: "CustomerCount CustomerTenantCount TotalPaidAvailableUnits TotalMonthlyActiveUsers",
        queries: &[SystemQuery { without: "PGAMpnId", ..SystemQuery::of("d8349f7b-a7d1-467e-b26d-434d4a50f26a") }],
        ..Dataset::mpn("OfficeUsage")
    },
    Dataset {
        columns: &["MPNId PartnerName PGA_MPNId PGA_PartnerName City Country HierarchyLevel"],
        ranges: LIFETIME_ONLY,
        queries: &[SystemQuery { range: None, ..SystemQuery::of("e65f3a4f-fb99-4319-97ff-59e57566a871") }],
        ..Dataset::mpn("Profile")
    },
    Dataset {
        columns: &["TrainingActivityId TrainingTitle TrainingType AADUserId TrainingCompletionDate Month IcMCP \
                    MCPID MPNId PartnerName PartnerCityLocation PartnerCountryLocation PGAMpnId \
                    IndividualFirstName IndividualLastName Email CorpEmail ExpirationDate ActivationStatus"],
        queries: &[SystemQuery {
            without: "PGAMpnId IndividualFirstName IndividualLastName Email CorpEmail ExpirationDate ActivationStatus",
            ..SystemQuery::of("20f5da57-3c2a-481b-b6a0-ec34d6db14e2")
        }],
        ..Dataset::mpn("TrainingCompletions")
    },
    Dataset {
        columns: &["PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month \
                    RevSumDivisionName RevSumCategoryName SKU SKUId FreeVsPaidSKU SalesModel DetailedSalesModel \
                    CustomerName CustomerTenantId CustomerTpid CustomerSegment CustomerMarket MPNId PartnerName \
                    PartnerLocation PartnerAttachType AvailableSeats AssignedSeats ActiveSeats \
                    DeploymentOpportunity ActiveUsagePercent"],
        metrics: "SubscriptionCount TotalAssignedSeats TotalSoldSeats TotalActiveSeats TotalRevenueAndACR CustomerCount \
         CustomerTenantCount",
        queries: &[SystemQuery { without: "PGAMpnId", ..SystemQuery::of("6209a8fd-93af-442e-8b3f-3df0f77e8463") }],
        ..Dataset::mpn("DynamicsUsage")
    },
    Dataset {
        columns: &["CompetencyName CompetencyLevel CompetencyStatus CompetencyStartDate CompetencyEndDate"],
        ..Dataset::mpn("CompetencySummaryHistory")
    },
    Dataset {
        columns: &["SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month SKU SKUId \
                    FreeVsPaidSKU SalesModel DetailedSalesModel CustomerName CustomerTenantId CustomerTpid \
                    CustomerSegment CustomerMarket MPNId PartnerName PartnerLocation PartnerAttachType \
                    PartnerHierarchy AvailableSeats AssignedSeats ActiveSeats DeploymentOpportunity \
                    ActiveUsagePercent"],
        queries: &[SystemQuery::of("40ebfe2f-7183-4427-a911-5c9b45b6df15")],
        ..Dataset::mpn("PowerBIUsage")
    },
    Dataset {
        columns: &["SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month SKU SKUId \
                    FreeVsPaidSKU SalesModel DetailedSalesModel CustomerName CustomerTenantId CustomerTpid \
                    CustomerSegment CustomerMarket MPNId PartnerName PartnerLocation PartnerAttachType \
                    PartnerHierarchy PaidAvailableUnits MonthlyActiveUsers AADPPaidAvailableUnits \
                    IntunePaidAvailableUnits AzipPaidAvailableUnits AADPMonthlyActiveUsers \
                    IntuneMonthlyActiveUsers AzipMonthlyActiveUsers"],
        queries: &[SystemQuery::of("d7f20ea4-8751-4d6b-b1d7-821c316acd6a")],
        ..Dataset::mpn("EMSUsage")
    },
    Dataset {
        columns: &["CompetencyName CompetencyAttainmentOptionName Month MetricName MetricMonthlyContribution \
                    TTMAggregate AnniversaryYearAggregate GoldThreshold SilverThreshold"],
        ..Dataset::mpn("CompetencyPeformanceRequirement")
    },
    Dataset {
        alias: Some("CloudProductsResellerPerformance"),
        columns: &["ResellerMpnId ResellerName ResellerMarket IndirectProviderMPNId IndirectProviderName Month \
                    Product SubscriptionID AvailableSeats AssignedSeats BilledRevenueUSD CustomerName \
                    CustomerTPid CustomerSegment CustomerMarket ResellerStatus"],
        metrics: "CustomerCount SubscriptionCount TotalAvailableSeats TotalAssignedSeats TotalRevenue",
        queries: &[SystemQuery::of("c09c2eda-861b-4664-8ee8-48a14745a26a")],
        ..Dataset::mpn("ResellerPerformance")
    },
    Dataset {
        columns: &["CustomerId CustomerTenantId CustomerName CustomerCountry DateKey AppName UserCount"],
        queries: &[SystemQuery::of("42d287be-cc76-4109-a066-f3140ad97fe2")],
        ..Dataset::mpn("TeamsUsage3PApps")
    },
    Dataset {
        columns: &["CustomerId CustomerTenantId MonthKey SubWorkload DesktopUsers WebUsers MobileUsers \
                    AllUpPartiticipants"],
        queries: &[SystemQuery::of("817fe875-acb0-4c45-9201-b7a35a60235a")],
        ..Dataset::mpn("TeamsUsageWorkload")
    },
    Dataset {
        columns: &["CustomerId CustomerTenantId DateKey SubWorkload MeetingCount MeetingDuration"],
        queries: &[SystemQuery::of("b7bd73a8-47e8-4c57-b915-445708cfd7bf")],
        ..Dataset::mpn("TeamsUsageMeetingsAndCalls")
    },
];
