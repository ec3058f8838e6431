//! The datasets of commercial marketplace analytics. Nothing public tells the columns of the last one.
//!
//! Facts of the documentation of 2021 to 2023, spelled as there, the misspelled ones too.

use super::{Dataset, SystemQuery};

/// Both versions of an order begin so.
const ORDER: &str = "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType Sku \
     CustomerCountry IsPreviewSKU OrderId OrderQuantity CloudInstanceName IsNewCustomer OrderStatus \
     OrderCancelDate CustomerCompanyName CustomerName OrderPurchaseDate OfferName TrialEndDate CustomerId \
     BillingAccountId";

pub(super) const DATASETS: &[Dataset] = &[
    Dataset {
        columns: &["MarketplaceSubscriptionId DateAcquired DateLost ProviderName ProviderEmail FirstName LastName \
                    Email CustomerCompanyName CustomerCity CustomerPostalCode CustomerCommunicationCulture \
                    CustomerCountryRegion AzureLicenseType PromotionalCustomers CustomerState \
                    CommerceRootCustomer CustomerId BillingAccountId ID"],
        queries: &[SystemQuery { name: "Customers", ..SystemQuery::of("b9df4929-073f-4795-b0cb-a2c81b11e28d") }],
        ..Dataset::cmp("ISVCustomer")
    },
    Dataset {
        columns: &["Date OfferName ReferralDomain CountryName PageVisits GetItNow ContactMe TestDrive FreeTrial"],
        queries: &[SystemQuery {
            name: "Marketplace insights",
            ..SystemQuery::of("6fd7624b-aa9f-42df-a61d-67d42fd00e92")
        }],
        ..Dataset::cmp("ISVMarketplaceInsights")
    },
    Dataset {
        columns: &["MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType \
                    SKU CustomerCountry IsPreviewSKU SKUBillingType IsInternal VMSize CloudInstanceName \
                    ServicePlanName OfferName DeploymentMethod CustomerName CustomerCompanyName UsageDate \
                    IsNewCustomer CoreSize TrialEndDate CustomerCurrencyCC PriceCC PayoutCurrencyPC \
                    EstimatedPricePC UsageReference UsageUnit CustomerId BillingAccountId NormalizedUsage \
                    RawUsage MeteredUsage EstimatedExtendedChargeCC EstimatedExtendedChargePC"],
        queries: &[
            SystemQuery {
                name: "VM normalized usage",
                without: "RawUsage MeteredUsage",
                conditions: "WHERE OfferType IN ('vm core image', 'Virtual Machine Licenses', 'multisolution')",
                ..SystemQuery::of("2c6f384b-ad52-4aed-965f-32bfa09b3778")
            },
            SystemQuery {
                name: "VM raw usage",
                without: "NormalizedUsage MeteredUsage",
                conditions: "WHERE OfferType IN ('vm core image', 'Virtual Machine Licenses', 'multisolution')",
                ..SystemQuery::of("3f19fb95-5bc4-4ee0-872e-cedd22578512")
            },
            SystemQuery {
                name: "Metered usage",
                without: "NormalizedUsage RawUsage",
                conditions: "WHERE OfferType IN ('SaaS', 'Azure Applications')",
                ..SystemQuery::of("f0c4927f-1f23-4c99-be4a-1371a5a9a086")
            },
        ],
        ..Dataset::cmp("ISVUsage")
    },
    Dataset {
        columns: &[ORDER],
        queries: &[SystemQuery { name: "Orders", ..SystemQuery::of("fd0f299c-5a1c-4929-9f48-bfc6cc44355d") }],
        ..Dataset::cmp("ISVOrder")
    },
    Dataset {
        columns: &[
            ORDER,
            "TermStartDate TermEndDate PurchaseRecordId PurchaseRecordLineItemId HasTrial IsTrialDeployment \
         EstimatedCharges",
        ],
        queries: &[SystemQuery { name: "Orders V2", ..SystemQuery::of("bd1b0cc1-ce45-4578-beba-6fe5a69fd421") }],
        ..Dataset::cmp("ISVOrderV2")
    },
    Dataset {
        columns: &["AssetId SalesChannel BillingAccountId CustomerCity CustomerCompanyName CustomerCountry \
                    CustomerEmail CustomerId CustomerName CustomerState EarningAmountCC EarningAmountPC \
                    EarningAmountUSD EarningCurrencyCode EarningExchangeRatePC EstimatedPayoutMonth Revenue \
                    EstimatedRevenuePC EstimatedRevenueUSD ExchangeRateDate ExchangeRatePC ExchangeRateUSD \
                    PayoutStatus IncentiveRate TrialDeployment LineItemId MonthStartDate OfferName OfferType \
                    PaymentInstrumentType PaymentSentDate PurchaseRecordId Quantity SKU TermEndDate TermStartDate \
                    TransactionAmountCC TransactionAmountPC TransactionAmountUSD BillingModel Units"],
        queries: &[SystemQuery { name: "Revenue", ..SystemQuery::of("bf54dde4-7dc4-492f-a69a-f45de049bfcb") }],
        ..Dataset::cmp("ISVRevenue")
    },
    Dataset {
        columns: &["OfferId Sku DeploymentStatus DeploymentCorrelationId SubscriptionId CustomerTenantId \
                    CustomerName TemplateType StartTime EndTime DeploymentDurationInMilliSeconds DeploymentRegion \
                    ResourceProvider ResourceUri ResourceGroup ResourceType ResourceName ErrorCode ErrorName \
                    ErrorMessage DeepErrorCode DeepErrorMessage"],
        queries: &[SystemQuery {
            name: "Quality of service",
            range: Some("LAST_3_MONTHS"),
            ..SystemQuery::of("q9df4939-073f-5795-b0cb-v2c81d11e58d")
        }],
        ..Dataset::cmp("ISVQualityOfService")
    },
    Dataset {
        columns: &["OfferCategory OfferName ProductId DeploymentMethod ServicePlanName Sku SkuBillingType \
                    CustomerId CustomerName CustomerCompanyName CustomerCountryName CustomerCountryCode \
                    CustomerCurrencyCode FirstUsageDate AzureLicenseType OfferType Offset"],
        queries: &[SystemQuery {
            name: "Customer retention",
            ..SystemQuery::of("6d37d057-06f3-45aa-a971-3a34415e8511")
        }],
        ..Dataset::cmp("ISVOfferRetention")
    },
    Dataset { ..Dataset::cmp("ISVLicense") },
];
