//! What policies and rules cost: a read that is judged by many, a read and a new connection in a
//! domain that has thousands, and a change of those.

use std::{path::Path, sync::Arc, time::Duration};

use hyper::Method;
use okmsd::{
    crypto::{Binding, DomainKeys, FileRootKey},
    model::{
        CertRule, Condition, IamPolicy, OkmsId, ResourcePattern, Tally, Timestamp, VaultPolicy,
        When,
        condition::{Expression, Operator},
        tally::Counted,
    },
    store::{
        engine::{Batch, Engine, Op},
        engines::redb::{RedbEngine, RedbOptions},
        kinds::{Kind, tenant},
    },
};

use super::{
    Effort, Outcome,
    client::{self, Client, Dialect, SECRET, timed},
    growth::Unobserved,
    load::Protocol,
    note,
    reads::{CONNECTORS, READERS, Target, alternate},
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

/// How many judge a read.
const JUDGES: usize = 200;
/// How many of them one rule names: the most that it can, and a few less.
const NAMED: usize = 100;
/// How many paths a policy in Vault's language has.
const PATHS: usize = 10;
/// How many identities a large domain has, each by a rule.
const IDENTITIES: usize = 10_000;
/// How many policies.
const POLICIES: usize = 1_000;
/// The common name of the certificate that reads.
const READER: &str = "dev";
/// How many changes a turn has.
const CHANGES: usize = 10;

pub(super) async fn measure(oha: &Path, effort: Effort) -> Outcome<Vec<Row>> {
    let none = Domain::create(&Written::default()).await?;
    let iam = Domain::create(&Written::judged_in_iam(pattern)).await?;
    let stars = Domain::create(&Written::judged_in_iam(inner_star)).await?;
    let when = Domain::create(&Written::judged_under_conditions()?).await?;
    let vault = Domain::create(&Written::judged_in_vault()).await?;
    let large = Domain::create(&Written::large()).await?;
    let kept = Protocol::Http1(READERS);
    let mut rows = Vec::new();
    for (domain, dialect, what) in [
        (&iam, Dialect::Native, format!("judged by {JUDGES} policies")),
        (&stars, Dialect::Native, format!("judged by {JUDGES} patterns that begin with a star")),
        (&when, Dialect::Native, format!("judged by {JUDGES} policies with conditions")),
        (&vault, Dialect::Kv, format!("over KV2, judged by {JUDGES} paths of Vault's policies")),
        (&vault, Dialect::Native, format!("judged by {JUDGES} paths of Vault's policies")),
        (
            &large,
            Dialect::Native,
            format!("in a domain of {IDENTITIES} rules and {POLICIES} policies"),
        ),
    ] {
        let what = format!("a read {what}, beside one without any");
        rows.extend(compare(oha, (domain, &none), dialect, kept, what, effort).await?);
    }
    let what = format!(
        "a new connection with a read in a domain of {IDENTITIES} rules, beside one without any"
    );
    let connect = Protocol::Connect(CONNECTORS);
    rows.extend(compare(oha, (&large, &none), Dialect::Native, connect, what, effort).await?);
    rows.push(changes(&large, &iam, effort).await?);
    let (none, large) = (none.stop(), large.stop());
    rows.push(starts(&large, &none, effort).await?);
    Ok(rows)
}

/// Turns of both: how many a second, and the server's processor time for one.
async fn compare(
    oha: &Path,
    (domain, none): (&Domain, &Domain),
    dialect: Dialect,
    protocol: Protocol,
    what: String,
    effort: Effort,
) -> Outcome<Vec<Row>> {
    let (measured, reference) = (domain.target(dialect)?, none.target(dialect)?);
    let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        note(format_args!("{what}, turn {}", round + 1));
        let both = alternate(round, oha, &measured, &reference, protocol, effort.turn).await?;
        rates.push(both.0.rate, both.1.rate);
        costs.push(both.0.cpu_micros, both.1.cpu_micros);
    }
    let cost = format!("the server's processor time for {what}");
    Ok(vec![
        rates.row(what, "/s", Budget::AtLeast(0.9)),
        costs.row(cost, " us", Budget::AtMost(1.1)),
    ])
}

/// How long it takes until a rule that is changed counts: durably written, and all of the domain's
/// rules and policies read anew.
async fn changes(large: &Domain, small: &Domain, effort: Effort) -> Outcome<Row> {
    let mut times = Rounds::default();
    for round in 0..=effort.rounds {
        note(format_args!("changes of a rule, turn {round}"));
        let (of_large, of_small) = (large.change(round).await?, small.change(round).await?);
        // The first turn warms up.
        if round > 0 {
            times.push(of_large, of_small);
        }
    }
    let what = format!(
        "ms until a changed rule counts among {IDENTITIES} rules and {POLICIES} policies, beside one among {JUDGES}"
    );
    Ok(times.beyond(what, Budget::AtMost(50.0)))
}

/// How long a start takes, until it is ready.
async fn starts(large: &Region, none: &Region, effort: Effort) -> Outcome<Row> {
    let mut times = Rounds::default();
    for round in 0..=effort.rounds {
        note(format_args!("starts, turn {round}"));
        let (mut of_large, mut of_none) = (Vec::new(), Vec::new());
        for _ in 0..CHANGES {
            of_large.push(millis(Server::timed(large).await?.1));
            of_none.push(millis(Server::timed(none).await?.1));
        }
        if round > 0 {
            times.push(median(of_large), median(of_none));
        }
    }
    let what = format!(
        "ms until a server is ready with {IDENTITIES} rules and {POLICIES} policies, beside one without any"
    );
    Ok(times.beyond(what, Budget::None))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A region whose one domain has policies and rules, and a secret of 1 KiB; and its server.
struct Domain {
    region: Region,
    server: Server,
}

impl Domain {
    async fn create(written: &Written) -> Outcome<Self> {
        let region = Region::create()?;
        // Makes the files, with the domain.
        let server = Server::okmsd(&region, &[]).await?;
        let mut connection = region.client(&server)?.connect().await?;
        connection.create(&region.id()?, SECRET, &client::value(1024)).await?;
        drop((connection, server));
        written.store(&region).await?;
        let server = Server::okmsd(&region, &[]).await?;
        Ok(Self { region, server })
    }

    fn target(&self, dialect: Dialect) -> Outcome<Target<'_>> {
        Target::plain(&self.server, dialect, &self.region)
    }

    /// What a change of a rule takes in the middle, in ms.
    async fn change(&self, round: usize) -> Outcome<f64> {
        let [ca, certificate, key] =
            ["region_ca.pem", "operator_certificate.pem", "operator_privatekey.pem"]
                .map(|file| self.region.path(file));
        let client = Client::new(self.server.address, &ca, &certificate, &key)?;
        let mut connection = client.connect().await?;
        let url = format!("/v2/okms/resource/{}/rule/{}", self.region.id()?, name_of_rule(7));
        let mut times = Vec::new();
        for change in 0..CHANGES {
            let body = format!(
                r#"{{"identity":"changed-{round}-{change}","policies":["policy-7"],"commonNames":["{}"]}}"#,
                common_name(7)
            );
            let call = connection.call(Method::PUT, &url, &[], body.into());
            times.push(millis(timed(call).await?));
        }
        Ok(median(times))
    }

    fn stop(self) -> Region {
        self.region
    }
}

/// What is written of a domain.
#[derive(Default)]
struct Written {
    rules: Vec<(String, CertRule)>,
    policies: Vec<IamPolicy>,
    in_vault: Vec<(String, VaultPolicy)>,
}

impl Written {
    /// So many policies in the words of IAM, all of which the reader has, and as many rules.
    fn judged_in_iam(pattern: fn(usize) -> String) -> Self {
        let policies = (0..JUDGES).map(|number| policy(number, pattern, "reader")).collect();
        let names: Vec<_> = (0..JUDGES).map(name_of_policy).collect();
        Self { rules: rules(JUDGES, &names), policies, in_vault: Vec::new() }
    }

    /// The same, each with conditions on the address and on the time.
    fn judged_under_conditions() -> Outcome<Self> {
        let matching = |key: &str, value: &str| Expression {
            operator: Operator::Match,
            values: vec![(key.to_owned(), value.to_owned())],
            conditions: Vec::new(),
        };
        let condition = Condition::new(Expression {
            operator: Operator::And,
            values: Vec::new(),
            conditions: vec![
                matching("request.IP.IN_RANGE", "192.0.2.0/24,127.0.0.0/8"),
                matching("date(UTC).Hour.GE", "0"),
            ],
        })?;
        let mut written = Self::judged_in_iam(pattern);
        for policy in &mut written.policies {
            policy.when = When { condition: Some(condition.clone()), expires_at: None };
        }
        Ok(written)
    }

    /// So many paths in Vault's language, all of which the reader has, and as many rules.
    fn judged_in_vault() -> Self {
        let policies = JUDGES / PATHS;
        let names: Vec<_> = (0..policies).map(name_of_policy).collect();
        let in_vault = names.iter().enumerate().map(|(number, name)| {
            let paths = (0..PATHS).map(|path| in_vault(number * PATHS + path));
            let (text, now) = (paths.collect(), Timestamp::from_unix_seconds(0));
            (name.clone(), VaultPolicy { text, created_at: now, updated_at: now })
        });
        Self { in_vault: in_vault.collect(), policies: Vec::new(), rules: rules(JUDGES, &names) }
    }

    /// So many identities, each with two of all policies; the reader with two of them, too.
    fn large() -> Self {
        let policies =
            (0..POLICIES).map(|number| policy(number, pattern, &identity(number))).collect();
        let names = [name_of_policy(0), name_of_policy(1)];
        Self { rules: rules(IDENTITIES, &names), policies, in_vault: Vec::new() }
    }

    /// Stores it as the server would, but all at once: without a server, which reads all of it with
    /// each change.
    async fn store(&self, region: &Region) -> Outcome<()> {
        let id: OkmsId = region.id()?.parse()?;
        let options = RedbOptions::new(region.path("okmsd.redb"));
        let opened =
            tokio::task::spawn_blocking(move || RedbEngine::open(&options, Arc::new(Unobserved)));
        let engine = opened.await??;
        let root = FileRootKey::load(&region.path("root.key"))?;
        let record = engine.snapshot().await?.get(tenant::SPACE, &tenant::key(id)).await?;
        let record = tenant::DomainRecord::decode(&record.ok_or("there is no domain")?.bytes)?;
        let keys = DomainKeys::unwrap(&root, id, record.keys)?;
        let (mut tally, mut ops) = (Tally::default(), Vec::new());
        for (name, rule) in &self.rules {
            rule.check()?;
            tally = tally.with(Counted::Rule, rule.size(name));
            ops.push(put::<CertRule>(&keys, name, rule)?);
        }
        for (number, policy) in (0_u128..).zip(&self.policies) {
            policy.check()?;
            tally = tally.with(Counted::Iam, policy.size());
            ops.push(put::<IamPolicy>(&keys, &number.to_be_bytes(), policy)?);
        }
        for (name, policy) in &self.in_vault {
            tally = tally.with(Counted::Vault, policy.size(name));
            ops.push(put::<VaultPolicy>(&keys, name, policy)?);
        }
        // As the API would have it.
        tally.check(Tally::default())?;
        if !ops.is_empty() {
            ops.push(put::<Tally>(&keys, (), &tally)?);
        }
        for ops in ops.chunks(1_000) {
            engine.commit(Batch::of(ops.to_vec())).await?;
        }
        tokio::task::spawn_blocking(move || drop(engine)).await?;
        Ok(())
    }
}

fn put<K: Kind>(keys: &DomainKeys, name: K::Name<'_>, record: &K) -> Outcome<Op> {
    let key = K::key(keys.id(), name);
    let sealed = keys.seal(&Binding::to(K::SPACE.name(), &key), &record.encode()?)?;
    Ok(Op::Put(K::SPACE, key, sealed))
}

/// So many rules; some of them are the reader's, and give it all of `policies`.
fn rules(number: usize, policies: &[String]) -> Vec<(String, CertRule)> {
    let own = policies.chunks(NAMED).map(|policies| CertRule {
        identity: "reader".to_owned(),
        policies: policies.to_vec(),
        common_names: vec![READER.to_owned()],
        ..CertRule::default()
    });
    let others = (0..number).map(|number| CertRule {
        identity: identity(number),
        policies: [number, number + 1].map(|policy| name_of_policy(policy % POLICIES)).to_vec(),
        common_names: vec![common_name(number)],
        ..CertRule::default()
    });
    own.chain(others)
        .take(number)
        .zip(0..)
        .map(|(rule, number)| (name_of_rule(number), rule))
        .collect()
}

/// Lets an identity read what fits a pattern; each tenth takes it away.
fn policy(number: usize, pattern: fn(usize) -> String, identity: &str) -> IamPolicy {
    let now = Timestamp::from_unix_seconds(0);
    let is_closed = number % 10 == 9;
    let actions = ["okms:apikms:secret/version/getData", "okms:apikms:secret/get"];
    let actions = actions.map(str::to_owned).to_vec();
    let (allow, deny) = if is_closed { (Vec::new(), actions) } else { (actions, Vec::new()) };
    IamPolicy {
        name: name_of_policy(number),
        description: String::new(),
        identities: vec![identity.to_owned()],
        resources: vec![ResourcePattern::Secrets(pattern(number))],
        allow,
        except: Vec::new(),
        deny,
        when: When::default(),
        created_at: now,
        updated_at: now,
    }
}

/// What is below a folder: the first one is that of the secret that is read.
fn pattern(number: usize) -> String {
    format!("{}/*", folder(number))
}

/// The same, but for a star before it, so that each is tried alone.
fn inner_star(number: usize) -> String {
    if number == 0 { pattern(number) } else { format!("*/{}/*", folder(number)) }
}

/// Of each folder the values, and what is told of the secrets: a native read shows both.
fn in_vault(number: usize) -> String {
    let part = if number.is_multiple_of(2) { "data" } else { "metadata" };
    let folder = folder(number / 2);
    format!("path \"secret/{part}/{folder}/*\" {{ capabilities = [\"read\", \"update\"] }}\n")
}

/// The first is that of the secret that is read.
fn folder(number: usize) -> String {
    let first = SECRET.split('/').next().filter(|_| number == 0);
    first.map_or_else(|| format!("team-{number}"), str::to_owned)
}

fn identity(number: usize) -> String {
    format!("identity-{number}")
}

fn name_of_policy(number: usize) -> String {
    format!("policy-{number}")
}

fn name_of_rule(number: usize) -> String {
    format!("rule-{number}")
}

fn common_name(number: usize) -> String {
    format!("service-{number}.example.org")
}
