//! The SDL holds everything the contract names, with the same types, nullability, defaults and
//! directives.

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ConstDirective, FieldDefinition, InputValueDefinition, ServiceDocument, TypeKind, TypeSystemDefinition,
};
use std::collections::{BTreeMap, BTreeSet};

/// Every definition as lines such as `type Query.projectVault(projectId: ID!): ProjectVault`, with
/// what it is marked by.
fn lines(document: &ServiceDocument) -> BTreeMap<String, BTreeSet<String>> {
    let mut lines = BTreeMap::new();
    for definition in &document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        // What every federation subgraph has besides.
        if name.starts_with('_') {
            continue;
        }
        let kind = match &definition.kind {
            TypeKind::Scalar => "scalar",
            TypeKind::Object(_) => "type",
            TypeKind::Enum(_) => "enum",
            TypeKind::InputObject(_) => "input",
            TypeKind::Interface(_) | TypeKind::Union(_) => {
                panic!("{name}: the contract has neither interfaces nor unions")
            }
        };
        lines.insert(format!("{kind} {name}"), marks(&definition.directives));
        match &definition.kind {
            TypeKind::Object(object) => {
                for field in &object.fields {
                    lines.insert(format!("{name}.{}", field_line(&field.node)), marks(&field.node.directives));
                }
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    lines.insert(format!("{name}.{}", input_line(&field.node)), marks(&field.node.directives));
                }
            }
            TypeKind::Enum(values) => {
                for value in &values.values {
                    lines.insert(format!("{name}.{}", value.node.value.node), marks(&value.node.directives));
                }
            }
            _ => {}
        }
    }
    lines
}

fn field_line(field: &FieldDefinition) -> String {
    let mut arguments: Vec<String> = field.arguments.iter().map(|argument| input_line(&argument.node)).collect();
    arguments.sort();
    format!("{}({}): {}", field.name.node, arguments.join(", "), field.ty.node)
}

fn input_line(value: &InputValueDefinition) -> String {
    let default = value.default_value.as_ref().map(|default| format!(" = {}", default.node)).unwrap_or_default();
    format!("{}: {}{default}", value.name.node, value.ty.node)
}

fn marks(directives: &[Positioned<ConstDirective>]) -> BTreeSet<String> {
    directives
        .iter()
        .map(|directive| {
            let mut arguments: Vec<String> =
                directive.node.arguments.iter().map(|(name, value)| format!("{}: {}", name.node, value.node)).collect();
            arguments.sort();
            format!("@{}({})", directive.node.name.node, arguments.join(", "))
        })
        .collect()
}

/// What the API has beyond the contract: receipts, exposures, sealed delivery, where a previewed
/// secret comes from, which names reach sessions, and what dashboards read: projects with their
/// summaries, previews of imports, filters, and the installation.
const ADDITIONS: &[&str] = &[
    "DeleteProjectVaultPayload.receipt(): String",
    "Mutation.previewVaultImport(input: ImportVaultEntriesInput!): VaultImportPreviewPayload",
    "Mutation.setVaultEnvironmentNames(input: SetVaultEnvironmentNamesInput!): VaultEnvironmentNamesPayload",
    "ProjectVault.approvedNames(): [String!]",
    "ProjectVault.environmentNames(): VaultEnvironmentNames!",
    "ProjectVault.summary(): VaultSummary",
    "ProjectVaultConnection.edges(): [ProjectVaultEdge!]!",
    "ProjectVaultConnection.nodes(): [ProjectVault!]!",
    "ProjectVaultConnection.pageInfo(): PageInfo!",
    "ProjectVaultConnection.totalCount(): Int!",
    "ProjectVaultEdge.cursor(): String!",
    "ProjectVaultEdge.node(): ProjectVault!",
    "Query.vaultInstallation(): VaultInstallation",
    "Query.vaultProjects(after: String, first: Int): ProjectVaultConnection",
    "ResolveSecretsInput.recipientKey: String",
    "ResolvedSecret.sealedValue(): String",
    "ResolvedSecrets.leftOut(): [SecretLeftOut!]!",
    "ResolvedSecrets.receipt(): String",
    "ResolvedSecrets.requestId(): String!",
    "SecretLeftOut.name(): String!",
    "SecretLeftOut.reason(): SecretLeftOutReason!",
    "SecretLeftOutReason.NAME_NOT_SUFFIXED",
    "SecretLeftOutReason.RESERVED_NAME",
    "SecretPreview.expiresAt(): DateTime",
    "SecretPreview.scope(): VaultScope",
    "SecretsPreview.leftOut(): [SecretLeftOut!]!",
    "SetVaultEnvironmentNamesInput.approvedNames: [String!]",
    "SetVaultEnvironmentNamesInput.environmentNames: VaultEnvironmentNames!",
    "SetVaultEnvironmentNamesInput.projectId: ID!",
    "VaultAuditAction.ACCESS_CHANGE_DISCARDED",
    "VaultAuditAction.ACCESS_CHANGE_RETRIED",
    "VaultAuditAction.IMPORT_PREVIEWED",
    "VaultAuditAction.PROJECT_ENVIRONMENT_CHANGED",
    "VaultAuditFilter.actors: [String!]",
    "VaultAuditHead.chainId(): ID!",
    "VaultAuditHead.seq(): String!",
    "VaultAuditHead.signedAt(): DateTime!",
    "VaultEntry.exposures(): [VaultExposure!]",
    "VaultEntry.leftOutOfSessions(): SecretLeftOutReason",
    "VaultEntryFilter.leftOutOfSessions: Boolean",
    "VaultEntryFilter.neverResolved: Boolean",
    "VaultEntryFilter.rotationDueBefore: DateTime",
    "VaultEnvironmentNames.ANY",
    "VaultEnvironmentNames.SUFFIXED",
    "VaultEnvironmentNamesPayload.userErrors(): [VaultUserError!]!",
    "VaultEnvironmentNamesPayload.vault(): ProjectVault",
    "VaultExposure.agent(): Agent!",
    "VaultExposure.lastReceivedAt(): DateTime!",
    "VaultExposure.since(): DateTime!",
    "VaultImportChange.CREATE",
    "VaultImportChange.REFUSED",
    "VaultImportChange.ROTATE",
    "VaultImportChange.SAME_MASK",
    "VaultImportChange.SKIP",
    "VaultImportLine.change(): VaultImportChange",
    "VaultImportLine.entry(): VaultEntry",
    "VaultImportLine.line(): Int!",
    "VaultImportLine.message(): String",
    "VaultImportLine.name(): String",
    "VaultImportPreviewPayload.lines(): [VaultImportLine!]!",
    "VaultImportPreviewPayload.userErrors(): [VaultUserError!]!",
    "VaultInstallation.accessChangesSetAside(): Int!",
    "VaultInstallation.heads(): [VaultAuditHead!]!",
    "VaultInstallation.keys(): [VaultKeyCount!]!",
    "VaultInstallation.lastVerifiedAt(): DateTime",
    "VaultInstallation.lastVerifiedIntact(): Boolean",
    "VaultInstallation.parts(): [VaultPart!]!",
    "VaultInstallation.version(): String!",
    "VaultKeyCount.count(): Int!",
    "VaultKeyCount.kind(): VaultKeyKind!",
    "VaultKeyCount.state(): String!",
    "VaultKeyKind.DATA",
    "VaultKeyKind.MASTER",
    "VaultKeyKind.SIGNING",
    "VaultPart.name(): String!",
    "VaultPart.ready(): Boolean!",
    "VaultSummary.active(): Int!",
    "VaultSummary.deleted(): Int",
    "VaultSummary.disabled(): Int!",
    "VaultSummary.expired(): Int!",
    "VaultSummary.expiring(): Int!",
    "VaultSummary.leftOutOfSessions(): Int!",
    "VaultSummary.neverUsed(): Int",
    "VaultSummary.rotationDue(): Int!",
    "enum SecretLeftOutReason",
    "enum VaultEnvironmentNames",
    "enum VaultImportChange",
    "enum VaultKeyKind",
    "input SetVaultEnvironmentNamesInput",
    "type ProjectVaultConnection",
    "type ProjectVaultEdge",
    "type SecretLeftOut",
    "type VaultAuditHead",
    "type VaultEnvironmentNamesPayload",
    "type VaultExposure",
    "type VaultImportLine",
    "type VaultImportPreviewPayload",
    "type VaultInstallation",
    "type VaultKeyCount",
    "type VaultPart",
    "type VaultSummary",
];

#[test]
fn the_sdl_is_the_contracts() {
    let sdl = project_vault::graphql::sdl();
    let ours = lines(&parse_schema(&sdl).expect("our SDL"));
    let theirs = lines(&parse_schema(include_str!("../corpus/contract.graphql")).expect("the contract"));
    assert!(theirs.len() > 250, "the contract was not read: {} lines", theirs.len());
    let wrong: Vec<String> = theirs
        .iter()
        .filter(|(line, marks)| ours.get(*line) != Some(marks))
        .map(|(line, marks)| format!("{line} {marks:?}, but ours is {:?}", ours.get(line)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let more: Vec<&str> = ours.keys().filter(|line| !theirs.contains_key(*line)).map(String::as_str).collect();
    assert_eq!(more, ADDITIONS, "additions are welcome, but say so here");
    assert!(sdl.contains("https://specs.apollo.dev/federation/v2"), "the SDL links federation 2");
}
