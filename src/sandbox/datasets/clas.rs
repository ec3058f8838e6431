//! The datasets of CLAS in Partner Insights: who might buy what next.
//!
//! Facts of the documentation of 2021 to 2023, spelled as there, the misspelled ones too.

use super::{Dataset, LIFETIME_ONLY, SystemQuery};

/// Who the customer is; all of them begin so.
const CUSTOMER: &str = "MPNID PartnerName CustomerID DUNSNumber AccountName Domain OrgSize Industry Vertical Area Subsidiary \
     SalesTerritory City State PostalCode Country Segment SubSegment SMCTypeSummary IsNonProfit";
/// What the propensities for Microsoft 365 and for Surface are both made of.
const DEVICES: &str = "DigitalWorkforce3rdPartyHostingService \
     DigitalWorkforceAcquirenewcustomerstoMicrosoftHighPropensityProspectforM365ActNowEvaluate \
     DigitalWorkforceM365A3targetedforA5 DigitalWorkforceSkypeforBusiness \
     DigitalWorkforceOnPremAcquisitionCurrentVersion DigitalWorkforceOnPremAcquisitionEOS \
     DigitalWorkforceTransitionCustomerCompeteZoomwithM365 \
     DigitalWorkforceTransitionCustomerCompeteZoomwithoutM365 \
     DigitalWorkforceTransitionCustomerCompeteGoogleWorkspace DigitalWorkforceUpsellexistingcloudcustomerIntune \
     DigitalWorkforceUpsellexistingcloudcustomerM365BBBScustomerstargetedforM365BP \
     DigitalWorkforceUpsellexistingcloudcustomerM365E3targetedforM365E5 \
     DigitalWorkforceUpsellexistingcloudcustomerTargetExchangeonline \
     NextGenWindowsExperiencesCompeteAmazonWorkspaceAWSWorkspaces NextGenWindowsExperiencesCompeteCitrix \
     NextGenWindowsExperiencesCompeteGoogleDaaScompeteitopiaNutanixFrameWorkspot \
     NextGenWindowsExperiencesCompeteVmwareHorizons \
     NextGenWindowsExperiencesCustomerhashardwareandalsoaddlastHWpurchase3years \
     NextGenWindowsExperiencesCustomerhasW10ProorearlierversionsW11ProTargetW365 \
     CustomerswithWindowsProendpointsWindows10EnterpriseE3EMSE3orMicrosoft365F3E3E5BPTargetforW365 \
     NextGenWindowsExperiencesGoogleWorkspacecustomerswithoutWindows \
     UserswithnonWindowsProendpointsWindowsVDAE3EMSE3orMicrosoft365F3E3F5BPTargetW365 \
     RefreshyourDevicesBusinessPremiumESKUAttach50 RefreshyourDevicesEDUforSurface \
     RefreshyourDevicesSurfaceDevices25purchasedinthelast3years RefreshyourDevicesTargetSurfaceforBS \
     RefreshyourDevicesTeamsMeetingPresence50 SeamlessSecurityTransitionCustomerCompeteEndpointSecurityMDB \
     SeamlessSecurityUpsellexistingcloudcustomerCompeteEndpointSecurityMDB \
     SeamlessSecurityUpsellexistingcloudcustomerCompeteGoogleWorkspace \
     SeamlessSecurityUpsellexistingcloudcustomerM365BBBScustomerstargetedforM365BP \
     SeamlessSecurityUpsellexistingcloudcustomerOnPremAcquisitionCurrentVersion \
     SeamlessSecurityUpsellexistingcloudcustomerTargetExchangeOnline M365Cluster M365Fit M365Intent \
     SurfaceCluster SurfaceFit SurfaceIntent M365UpsellCustomer HasGoogle HasAWS HasEA HasOpen \
     Transactedinthelast36months";

pub(super) const DATASETS: &[Dataset] = &[
    Dataset {
        columns: &[
            CUSTOMER,
            "HasGoogle HasAWS AzureCluster D365FOCluster D365CECluster D365BCCluster M365Cluster PowerAppsCluster \
         LicenseProgram AgreementID AgreementEndDate ExpirationType ExpiringRevenue HasEA HasOpen \
         M365UpsellCustomer RevSumDivisionName TransactedInTheLast36Months",
        ],
        ranges: LIFETIME_ONLY,
        queries: &[SystemQuery { range: None, ..SystemQuery::of("c4fc87ac-4cca-44cd-bf4d-835ac513f9ee") }],
        ..Dataset::mpn("CLASAgreementRenewalsPropensity")
    },
    Dataset {
        columns: &[
            CUSTOMER,
            "DataAIInnovatewithAIandcloudscaledatabasesineveryappBuildnewintelligentcloudnativeapplications \
         DataAIMigrateandmodernizeyourdatacenterSQLServerIBCurrentVersion \
         DataAIMigrateandmodernizeyourdatacenterSQLServerIBEOS \
         DataAIMigrateandmodernizeyourdatacenterSQLServer2012IBEOS \
         DataAIMigrateandmodernizeyourdatacenterHomogenousmigrationofPostgreSQLandMySQLtoAzure \
         DataAIMigrateandmodernizeyourdatacenterMigrateSQLServertoAzureSQLManagedInstanceandVMs \
         RealtimeanalyticswithSynapseLinkPBIforlandeddataplatformworkloads \
         DataAIPowerbusinessdecisionswithCloudScaleAnalyticsMigrationOnPremDWMigrationtoAzureSynapse \
         DataAIPowerbusinessdecisionswithCloudScaleAnalyticsMigrationOnPremHadoopMigrationtoAzureDatabricks \
         NetNewWinNewAnalyticUseCaseswithSynapseandPBIandAML \
         DigitalAppInnovationAccelerateinnovationwithLowCodeBuildandmodernizelineofbusinessapplications \
         AcceleratesoftwaredeliverythroughDevSecOpswithGitHubandVisualStudio \
         DigitalAppInnovationEnabledeveloperproductivityandAccelerateDeliveryDrivedeveloperengagement \
         BuildcloudnativeappswithKubernetesServerlessanddataModernizeAppswAKS \
         BuildcloudnativeappswithKubernetesServerlessanddataModernizeAppswRHOpenShiftHighConsumingLinuxIBISV \
         DigitalAppInnovationInnovateandscalewithcloudnativeappsDrivedeveloperengagement \
         DigitalAppInnovationModernizeenterpriseapplicationsModernizeNETappswithdata \
         DigitalAppInnovationModernizeenterpriseapplicationsModernizeJavaappswithdata \
         HighPropensityHighPropensity DevelopoperateandsecurewithAzureArcArcenabledservicesandAzureStackHCI \
         InfraMigrateandModernizeyourInfrastructureandworkloadsAttachMonitorStorageNetworkingandSecurity \
         InfraMigrateandModernizeyourInfrastructureandworkloadsWindowsServerIBCurrentVersion \
         InfraMigrateandModernizeyourInfrastructureandworkloadsWindowsServerIBEOS \
         InfraMigrateandModernizeyourInfrastructureandworkloadsWindowsServer2012IBEOS \
         InfraMigrateandModernizeyourInfrastructureandworkloadsMigrateandmodernizeLinuxOSSDBtoAzure \
         InfraMigrateandModernizeyourInfrastructureandworkloadsMigrateandmodernizeVMwaretoAVS \
         InfraMigrateandModernizeyourInfrastructureandworkloadsMigrateandmodernizeWindowsServerSQLtoAzure \
         InfraMigrateandModernizeyourInfrastructureandworkloadsModernizeVDItoAVDMigrateCitrixIB \
         InfraMigrateandModernizeyourInfrastructureandworkloadsModernizeVDItoAVDMigrateVMWareIB \
         InfraMigrateandModernizeyourInfrastructureandworkloadsModernizeVDItoAVDCrossSellMWtoAzureWVD \
         InfraMigrateandModernizeyourInfrastructureandworkloadsModernizeVDItoAVDRDSIB \
         InfraModernizeSAPontheMicrosoftCloudExtendandinnovateSAPwithMicrosoftCloudservices \
         InfraModernizeSAPontheMicrosoftCloudMigrateandmodernizetoS4HANAviaRISEwithSAPorAzurenative \
         ExtendEdgeInferencingwithcloudbasedmodeltrainingusingAzureAIInfrastructure \
         InfraModernizeyourworkloadswithAzureatanyscalewithHPCAIExtendtoAVDworkloadsrequiringGPUrendering \
         InfraModernizeyourworkloadswithAzureatanyscalewithHPCAIModernizeHPCworkloadswithAzureHPCAI \
         AttachAzureBackupandASRtoeveryproductionVMnewandgoback \
         InfraProtectyourdataandensurebusinessresiliencywithBCDRBackuponpremdataandSaaSdatatoAzure \
         SecurityDefendAgainstThreatswithSIEMXDRDriveSIEMXDRtomodernizesecurityopcenter \
         SecuritySecureMultiCloudInfrastructureCloudworkloadprotectionDefenderAttachinWindowsMigration \
         SecuritySecureMultiCloudInfrastructureCloudworkloadprotectionWellArchitectedSecurityGoBack AzureFit \
         AzureIntent AzureCluster WindowsServerDataCenter_HasOpenRenewal WindowsServerStandard_HasOpenRenewal \
         HasGoogle HasAWS HasEA HasOpen NumberofExistingWorkloads ExistingWorkloads NumberofRecommendedWorkloads \
         RecommendedWorkloads Transactedinthelast36months",
        ],
        ranges: LIFETIME_ONLY,
        queries: &[SystemQuery { range: None, ..SystemQuery::of("9a18bd70-8f90-4bd2-8266-5f6e453e3ee7") }],
        ..Dataset::mpn("CLASAzurePropensity")
    },
    Dataset {
        columns: &[
            CUSTOMER,
            "AccelerateInnovationwithLowCodeDynamicsCompeteBaseMendixOutsystemsSalesforcePowerAppsPowerAutomateModel \
         ConnectedSalesMarketingUnlockDatatoMaximizeSalesImpact \
         EnableaResilientSustainableSupplyChainCrossSellD365SupplyChainAndOrRetailCommercetoexistingD365Sales \
         CrossSellD365SupplyChainAndOrRetailCommercetoexistingD365SalesandOracleorSAPCustomers \
         WinandActivateFirstD365WorkloadasD365SupplyChainwithNonOracleSAPERPCustomers \
         ModernizetheServiceExperienceD365CustomerServicesandD365FieldServicesD365SalesPropensity \
         OptimizeFinancialOperatingModelsDynamicsOnPremInstallBaseGreatPlainsBCFinancePropensityModel \
         OptimizeFinancialOperatingModelsDynamicsOnPremInstallBaseNavisionBCFinancePropensityModel \
         OptimizeFinancialOperatingModelsDynamicsOnPremInstallBaseOthersBCFinancePropensityModel \
         OptimizeFinancialOperatingModelsDynamicsOnPremInstallBaseSolomonBCFinancePropensityModel \
         OptimizeFinancialOperatingModelsTransformBusinessOperationsExperience D365BCCluster D365BCFit \
         D365BCIntent D365FOCluster D365FOFit D365FOIntent D365CECluster D365CEFit D365CEIntent PowerAppsCluster \
         PowerAppsFit PowerAppsIntent DynamicsOnPremAXorCRM_HasOpenRenewal M365UpsellCustomer HasGoogle HasAWS \
         HasEA HasOpen Transactedinthelast36months",
        ],
        ranges: LIFETIME_ONLY,
        queries: &[SystemQuery { range: None, ..SystemQuery::of("258fdcac-6e9c-4072-af27-b1b3d97be16c") }],
        ..Dataset::mpn("CLASD365Propensity")
    },
    Dataset {
        columns: &[CUSTOMER, DEVICES],
        ranges: LIFETIME_ONLY,
        queries: &[SystemQuery { range: None, ..SystemQuery::of("fbe00e32-fdde-4465-b3e4-41bbd021a130") }],
        ..Dataset::mpn("CLASM365Propensity")
    },
    Dataset {
        columns: &[CUSTOMER, DEVICES],
        ranges: LIFETIME_ONLY,
        queries: &[SystemQuery { range: None, ..SystemQuery::of("ba339743-7594-439f-bb01-1a2e754df7b7") }],
        ..Dataset::mpn("CLASSurfacePropensity")
    },
];
