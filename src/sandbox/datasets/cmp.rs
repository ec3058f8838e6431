//! The datasets of commercial marketplace analytics. Nothing public tells the columns of the last one.
//!
//! Facts of the documentation of 2021 to 2023, spelled as there, the misspelled ones too.

use super::{Dataset, ISV_RANGES, SystemQuery};
use crate::sandbox::world::Program;

pub(super) const DATASETS: &[Dataset] = &[
    Dataset {
        program: Program::Cmp,
        name: "ISVCustomer",
        alias: None,
        columns: "MarketplaceSubscriptionId DateAcquired DateLost ProviderName ProviderEmail FirstName LastName \
              Email CustomerCompanyName CustomerCity CustomerPostalCode CustomerCommunicationCulture \
              CustomerCountryRegion AzureLicenseType PromotionalCustomers CustomerState CommerceRootCustomer \
              CustomerId BillingAccountId ID",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "b9df4929-073f-4795-b0cb-a2c81b11e28d",
            name: "Customers",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVMarketplaceInsights",
        alias: None,
        columns: "Date OfferName ReferralDomain CountryName PageVisits GetItNow ContactMe TestDrive FreeTrial",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "6fd7624b-aa9f-42df-a61d-67d42fd00e92",
            name: "Marketplace insights",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVUsage",
        alias: None,
        columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType SKU \
              CustomerCountry IsPreviewSKU SKUBillingType IsInternal VMSize CloudInstanceName ServicePlanName \
              OfferName DeploymentMethod CustomerName CustomerCompanyName UsageDate IsNewCustomer CoreSize \
              TrialEndDate CustomerCurrencyCC PriceCC PayoutCurrencyPC EstimatedPricePC UsageReference UsageUnit \
              CustomerId BillingAccountId NormalizedUsage RawUsage MeteredUsage EstimatedExtendedChargeCC \
              EstimatedExtendedChargePC",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[
            SystemQuery {
                id: "2c6f384b-ad52-4aed-965f-32bfa09b3778",
                name: "VM normalized usage",
                columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType SKU \
              CustomerCountry IsPreviewSKU SKUBillingType IsInternal VMSize CloudInstanceName ServicePlanName \
              OfferName DeploymentMethod CustomerName CustomerCompanyName UsageDate IsNewCustomer CoreSize \
              TrialEndDate CustomerCurrencyCC PriceCC PayoutCurrencyPC EstimatedPricePC UsageReference UsageUnit \
              CustomerId BillingAccountId NormalizedUsage EstimatedExtendedChargeCC EstimatedExtendedChargePC",
                conditions: "WHERE OfferType IN ('vm core image', 'Virtual Machine Licenses', 'multisolution')",
                range: Some("LAST_6_MONTHS"),
            },
            SystemQuery {
                id: "3f19fb95-5bc4-4ee0-872e-cedd22578512",
                name: "VM raw usage",
                columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType SKU \
              CustomerCountry IsPreviewSKU SKUBillingType IsInternal VMSize CloudInstanceName ServicePlanName \
              OfferName DeploymentMethod CustomerName CustomerCompanyName UsageDate IsNewCustomer CoreSize \
              TrialEndDate CustomerCurrencyCC PriceCC PayoutCurrencyPC EstimatedPricePC UsageReference UsageUnit \
              CustomerId BillingAccountId RawUsage EstimatedExtendedChargeCC EstimatedExtendedChargePC",
                conditions: "WHERE OfferType IN ('vm core image', 'Virtual Machine Licenses', 'multisolution')",
                range: Some("LAST_6_MONTHS"),
            },
            SystemQuery {
                id: "f0c4927f-1f23-4c99-be4a-1371a5a9a086",
                name: "Metered usage",
                columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType SKU \
              CustomerCountry IsPreviewSKU SKUBillingType IsInternal VMSize CloudInstanceName ServicePlanName \
              OfferName DeploymentMethod CustomerName CustomerCompanyName UsageDate IsNewCustomer CoreSize \
              TrialEndDate CustomerCurrencyCC PriceCC PayoutCurrencyPC EstimatedPricePC UsageReference UsageUnit \
              CustomerId BillingAccountId MeteredUsage EstimatedExtendedChargeCC EstimatedExtendedChargePC",
                conditions: "WHERE OfferType IN ('SaaS', 'Azure Applications')",
                range: Some("LAST_6_MONTHS"),
            },
        ],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVOrder",
        alias: None,
        columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType Sku \
              CustomerCountry IsPreviewSKU OrderId OrderQuantity CloudInstanceName IsNewCustomer OrderStatus \
              OrderCancelDate CustomerCompanyName CustomerName OrderPurchaseDate OfferName TrialEndDate \
              CustomerId BillingAccountId",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "fd0f299c-5a1c-4929-9f48-bfc6cc44355d",
            name: "Orders",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVOrderV2",
        alias: None,
        columns: "MarketplaceSubscriptionId MonthStartDate OfferType AzureLicenseType MarketplaceLicenseType Sku \
              CustomerCountry IsPreviewSKU OrderId OrderQuantity CloudInstanceName IsNewCustomer OrderStatus \
              OrderCancelDate CustomerCompanyName CustomerName OrderPurchaseDate OfferName TrialEndDate \
              CustomerId BillingAccountId TermStartDate TermEndDate PurchaseRecordId PurchaseRecordLineItemId \
              HasTrial IsTrialDeployment EstimatedCharges",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "bd1b0cc1-ce45-4578-beba-6fe5a69fd421",
            name: "Orders V2",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVRevenue",
        alias: None,
        columns: "AssetId SalesChannel BillingAccountId CustomerCity CustomerCompanyName CustomerCountry \
              CustomerEmail CustomerId CustomerName CustomerState EarningAmountCC EarningAmountPC \
              EarningAmountUSD EarningCurrencyCode EarningExchangeRatePC EstimatedPayoutMonth Revenue \
              EstimatedRevenuePC EstimatedRevenueUSD ExchangeRateDate ExchangeRatePC ExchangeRateUSD \
              PayoutStatus IncentiveRate TrialDeployment LineItemId MonthStartDate OfferName OfferType \
              PaymentInstrumentType PaymentSentDate PurchaseRecordId Quantity SKU TermEndDate TermStartDate \
              TransactionAmountCC TransactionAmountPC TransactionAmountUSD BillingModel Units",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "bf54dde4-7dc4-492f-a69a-f45de049bfcb",
            name: "Revenue",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVQualityOfService",
        alias: None,
        columns: "OfferId Sku DeploymentStatus DeploymentCorrelationId SubscriptionId CustomerTenantId CustomerName \
              TemplateType StartTime EndTime DeploymentDurationInMilliSeconds DeploymentRegion ResourceProvider \
              ResourceUri ResourceGroup ResourceType ResourceName ErrorCode ErrorName ErrorMessage DeepErrorCode \
              DeepErrorMessage",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "q9df4939-073f-5795-b0cb-v2c81d11e58d",
            name: "Quality of service",
            columns: "",
            conditions: "",
            range: Some("LAST_3_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVOfferRetention",
        alias: None,
        columns: "OfferCategory OfferName ProductId DeploymentMethod ServicePlanName Sku SkuBillingType CustomerId \
              CustomerName CustomerCompanyName CustomerCountryName CustomerCountryCode CustomerCurrencyCode \
              FirstUsageDate AzureLicenseType OfferType Offset",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[SystemQuery {
            id: "6d37d057-06f3-45aa-a971-3a34415e8511",
            name: "Customer retention",
            columns: "",
            conditions: "",
            range: Some("LAST_6_MONTHS"),
        }],
    },
    Dataset {
        program: Program::Cmp,
        name: "ISVLicense",
        alias: None,
        columns: "",
        metrics: "",
        ranges: ISV_RANGES,
        minimum_interval: None,
        queries: &[],
    },
];
