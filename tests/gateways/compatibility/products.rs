//! The subgraph `products` of Apollo's compatibility tests, by the library and behind the HTTP
//! handler of the vault. It prints its URL and a token that its handler accepts, and serves until
//! it is ended.
//!
//! The vault's SDL links federation 2.5, as the library always does. The suite is from the time of
//! 2.3 and refuses what is later, so this schema, which needs no more than 2.3, says so.

use async_graphql::{
    ComplexObject, EmptyMutation, EmptySubscription, ID, InputObject, Object, Schema, SchemaBuilder, SimpleObject,
    TypeDirective,
};
use project_vault::crypto::Keyring;
use project_vault::domain::{Clock, Narrowing, SystemClock, TokenKind};
use project_vault::graphql::Api;
use project_vault::http::tokens::{Claims, IssuerConfig, KeySource, Signer, Verifier};
use project_vault::http::{Server, ServerConfig, ServerParts};
use project_vault::store::Store;
use project_vault::vault::{Installation, Vault};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[TypeDirective(location = "Object", composable = "https://myspecs.dev/myCustomDirective/v1.0")]
fn custom() {}

#[derive(SimpleObject, Clone)]
#[graphql(complex, directive = custom::apply())]
struct Product {
    id: ID,
    sku: Option<String>,
    package: Option<String>,
    variation: Option<ProductVariation>,
    dimensions: Option<ProductDimension>,
    #[graphql(tag = "internal")]
    notes: Option<String>,
    research: Vec<ProductResearch>,
}

#[ComplexObject]
impl Product {
    #[graphql(provides = "totalProductsCreated")]
    async fn created_by(&self) -> Option<User> {
        Some(user(Some(1337)))
    }
}

#[derive(SimpleObject, Clone)]
struct ProductVariation {
    id: ID,
}

#[derive(InputObject)]
struct VariationKey {
    id: ID,
}

#[derive(SimpleObject, Clone)]
#[graphql(shareable)]
struct ProductDimension {
    size: Option<String>,
    weight: Option<f64>,
    #[graphql(inaccessible)]
    unit: Option<String>,
}

#[derive(SimpleObject, Clone)]
struct ProductResearch {
    study: CaseStudy,
    outcome: Option<String>,
}

#[derive(SimpleObject, Clone)]
struct CaseStudy {
    case_number: ID,
    description: Option<String>,
}

#[derive(InputObject)]
struct StudyKey {
    case_number: ID,
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
struct DeprecatedProduct {
    sku: String,
    package: String,
    reason: Option<String>,
}

#[ComplexObject]
impl DeprecatedProduct {
    async fn created_by(&self) -> Option<User> {
        Some(user(None))
    }
}

// Another subgraph's type, so that its external key is one.
#[derive(SimpleObject, Clone)]
#[graphql(complex, extends)]
struct User {
    #[graphql(external)]
    email: ID,
    #[graphql(override_from = "users")]
    name: Option<String>,
    #[graphql(external)]
    total_products_created: Option<i32>,
    #[graphql(external)]
    years_of_employment: i32,
}

#[ComplexObject]
impl User {
    #[graphql(requires = "totalProductsCreated yearsOfEmployment")]
    async fn average_products_created_per_year(&self) -> Option<i32> {
        self.total_products_created?.checked_div(self.years_of_employment)
    }
}

#[derive(SimpleObject)]
#[graphql(interface_object)]
struct Inventory {
    id: ID,
    deprecated_products: Vec<DeprecatedProduct>,
}

fn user(total_products_created: Option<i32>) -> User {
    User {
        email: "support@apollographql.com".into(),
        name: Some("Jane Smith".to_owned()),
        total_products_created,
        years_of_employment: 10,
    }
}

fn study(case_number: &str, description: &str) -> ProductResearch {
    ProductResearch {
        study: CaseStudy { case_number: case_number.into(), description: Some(description.to_owned()) },
        outcome: None,
    }
}

fn research() -> [ProductResearch; 2] {
    [study("1234", "Federation Study"), study("1235", "Studio Study")]
}

fn products() -> Vec<Product> {
    let dimensions =
        ProductDimension { size: Some("small".to_owned()), weight: Some(1.0), unit: Some("kg".to_owned()) };
    let [federation, studio] = research();
    let product = |id: &str, sku: &str, package: &str, variation: &str, research| Product {
        id: id.into(),
        sku: Some(sku.to_owned()),
        package: Some(package.to_owned()),
        variation: Some(ProductVariation { id: variation.into() }),
        dimensions: Some(dimensions.clone()),
        notes: None,
        research: vec![research],
    };
    vec![
        product("apollo-federation", "federation", "@apollo/federation", "OSS", federation),
        product("apollo-studio", "studio", "", "platform", studio),
    ]
}

fn deprecated_products() -> Vec<DeprecatedProduct> {
    vec![DeprecatedProduct {
        sku: "apollo-federation-v1".to_owned(),
        package: "@apollo/federation-v1".to_owned(),
        reason: Some("Migrate to Federation V2".to_owned()),
    }]
}

fn find<T>(all: impl IntoIterator<Item = T>, is: impl Fn(&T) -> bool) -> Option<T> {
    all.into_iter().find(is)
}

struct Query;

#[Object]
impl Query {
    async fn product(&self, id: ID) -> Option<Product> {
        find(products(), |product| product.id == id)
    }

    #[graphql(deprecation = "Use product query instead")]
    async fn deprecated_product(&self, sku: String, package: String) -> Option<DeprecatedProduct> {
        find(deprecated_products(), |product| product.sku == sku && product.package == package)
    }

    #[graphql(entity)]
    async fn product_by_id(&self, id: ID) -> Option<Product> {
        find(products(), |product| product.id == id)
    }

    #[graphql(entity)]
    async fn product_by_package(&self, sku: String, package: String) -> Option<Product> {
        find(products(), |product| product.sku.as_ref() == Some(&sku) && product.package.as_ref() == Some(&package))
    }

    #[graphql(entity)]
    async fn product_by_variation(&self, sku: String, variation: VariationKey) -> Option<Product> {
        find(products(), |product| {
            product.sku.as_ref() == Some(&sku) && product.variation.as_ref().is_some_and(|of| of.id == variation.id)
        })
    }

    #[graphql(entity)]
    async fn deprecated_by_package(&self, sku: String, package: String) -> Option<DeprecatedProduct> {
        find(deprecated_products(), |product| product.sku == sku && product.package == package)
    }

    #[graphql(entity)]
    async fn research_by_study(&self, study: StudyKey) -> Option<ProductResearch> {
        find(research(), |research| research.study.case_number == study.case_number)
    }

    #[graphql(entity)]
    async fn user_by_email(
        &self,
        #[graphql(key)] email: ID,
        total_products_created: Option<i32>,
        years_of_employment: Option<i32>,
    ) -> User {
        let known = user(total_products_created);
        User { email, years_of_employment: years_of_employment.unwrap_or(known.years_of_employment), ..known }
    }

    #[graphql(entity)]
    async fn inventory_by_id(&self, id: ID) -> Inventory {
        Inventory { id, deprecated_products: deprecated_products() }
    }
}

fn schema() -> SchemaBuilder<Query, EmptyMutation, EmptySubscription> {
    Schema::build(Query, EmptyMutation, EmptySubscription).enable_federation()
}

/// The SDL, which says what the schema needs of federation.
fn edit(sdl: &str) -> String {
    sdl.replace("federation/v2.5", "federation/v2.3").replace(", \"@requiresScopes\"", "")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::TempDir::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(&format!("sqlite:{}", dir.path().join("vault.db").display()), None)?;
    store.migrate().await?;
    let installation = Installation::new(store, Arc::new(Keyring::generate), clock.clone());
    installation.set_up_embedded(project_vault::vault::ExistingRows::Refuse).await?;
    let authorizer = installation.embedded().await?;
    let vault = Vault::of(installation, authorizer, Duration::ZERO);

    let signer = Signer::generate()?;
    let iss = "compatibility";
    let issuer = IssuerConfig {
        iss: iss.to_owned(),
        keys: KeySource::Set(signer.jwks()),
        kinds: TokenKind::ALL.iter().copied().collect(),
        subject_prefix: None,
    };
    let verifier =
        Verifier::new(vec![issuer], clock.clone(), Duration::from_secs(300)).map_err(|all| all.join("\n"))?;
    verifier.load().await;
    let now = clock.now();
    let claims = Claims {
        iss: iss.to_owned(),
        kind: TokenKind::User,
        sub: "gateway".to_owned(),
        issued: now,
        expires: now.plus(Duration::from_secs(3600)),
        narrowing: Narrowing::default(),
    };

    let api = Api::new(vault, true).with_schema(schema, edit);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(
        ServerConfig { listen, runtime_listen: None, metrics_listen: None, tls: None },
        ServerParts { api, verifier, dashboard: None },
    )
    .await?;
    println!("http://{}/graphql {}", server.address(), signer.sign(&claims)?);
    server.run(std::future::pending()).await?;
    Ok(())
}
