//! What clients of Vault ask under `sys/`: the server's state, mounts, capabilities and wrapping.

use serde_json::{Value, json};

use super::{Answer, CREATED, EXAMPLE_ID, Row, VaultOp, does, envelope, merged, repeated, shows, with};

pub(super) const ROWS: &[Row] = &[
    Row {
        parameters: &["standbyOk", "activeCode", "standbyCode", "sealedCode"],
        answer: Answer::Health(|| {
            json!({
                "cluster_id": EXAMPLE_ID, "cluster_name": "eu-west-local", "initialized": true,
                "performance_standby": false, "replication_dr_mode": "disabled",
                "replication_performance_mode": "disabled", "sealed": false, "server_time_utc": 1_735_787_045,
                "standby": false, "version": VERSION,
            })
        }),
        problems: &["BadQuery"],
        ..does(
            VaultOp::Health,
            "Ask whether the server is well",
            "Told by the status: 200, 429 while there are only reads, 503 while the store does not answer. Others can \
             be chosen in the query.",
        )
    },
    shows(
        VaultOp::SealStatus,
        "Ask whether the server is sealed",
        "There is nothing to unseal: `sealed` tells that the store does not answer.",
        "SealStatusResponse",
        || {
            json!({
                "build_date": "", "cluster_id": EXAMPLE_ID, "cluster_name": "eu-west-local", "initialized": true,
                "migration": false, "n": 0, "nonce": "", "progress": 0, "recovery_seal": false, "sealed": false,
                "storage_type": "redb", "t": 0, "type": "okmsd", "version": VERSION,
            })
        },
    ),
    shows(VaultOp::Leader, "Ask who leads", "Nobody: there is one server.", "LeaderResponse", || {
        json!({
            "active_time": "0001-01-01T00:00:00Z", "ha_enabled": false, "is_self": false, "leader_address": "",
            "leader_cluster_address": "", "performance_standby": false, "performance_standby_last_remote_wal": 0,
        })
    }),
    shows(
        VaultOp::InitStatus,
        "Ask whether the server is initialised",
        "It is, once it answers.",
        "InitStatusResponse",
        || json!({ "initialized": true }),
    ),
    shows(
        VaultOp::Mounts,
        "List mounts",
        "`secret`, which is always there, and those that were made.",
        "MountsResponse",
        || repeated(json!({ "secret/": mount() })),
    ),
    Row {
        problems: &["NoMount"],
        ..shows(VaultOp::ReadMount, "Show a mount", "A mount that the list has.", "MountResponse", || repeated(mount()))
    },
    Row {
        body: Some(("EnableMountRequest", || {
            json!({
                "kvV2": { "type": "kv-v2", "description": "secrets of a team" },
                "kvWithVersion": { "type": "kv", "options": { "version": "2" } },
            })
        })),
        problems: &["MountInUse", "NotKv2"],
        ..does(
            VaultOp::Enable,
            "Make a mount",
            "A view on the secrets below its path: `app` in `team` is `team/app` in `secret`, and natively. It has \
             defaults of its own.",
        )
    },
    Row {
        parameters: &["force"],
        problems: &["MountHoldsSecrets", "MountForGood"],
        ..does(
            VaultOp::Disable,
            "Remove a mount",
            "Only while there are no secrets in it, or with `force=true`. Where there is none, nothing happens.",
        )
    },
    Row {
        problems: &["NoMountToTune"],
        ..shows(
            VaultOp::ReadTune,
            "Show what of a mount can be tuned",
            "Its description; secrets have no leases here.",
            "TuneResponse",
            || {
                repeated(json!({
                    "default_lease_ttl": 0, "description": "secrets of a team", "force_no_cache": false,
                    "max_lease_ttl": 0, "options": { "version": "2" },
                }))
            },
        )
    },
    Row {
        body: Some(("TuneMountRequest", || json!({ "description": { "description": "secrets of a team" } }))),
        answer: Answer::Warnings(|| {
            let text = "max_lease_ttl has no effect: secrets have no leases here";
            with(system(&Value::Null), "warnings", &json!([text]))
        }),
        problems: &["MountUnknown"],
        ..does(VaultOp::Tune, "Tune a mount", "A new description. What is not named stays; the version stays 2.")
    },
    Row {
        body: Some(("RemountRequest", || json!({ "move": { "from": "team", "to": "crew" } }))),
        problems: &["MountInUse", "MountForGood", "NoMountToMove"],
        ..shows(
            VaultOp::Remount,
            "Move a mount",
            "Gives a mount another name, at once and with everything that it shows, its defaults included. In the domain's \
             tree, and natively, its secrets keep their paths.",
            "RemountResponse",
            || repeated(json!({ "migration_id": EXAMPLE_ID })),
        )
    },
    Row {
        problems: &["KvNotFound"],
        ..shows(
            VaultOp::RemountStatus,
            "Ask what became of a move",
            "It is done. What was moved on since is not known any more.",
            "RemountStatusResponse",
            || {
                let info = json!({ "source_mount": "team/", "status": "success", "target_mount": "crew/" });
                system(&json!({ "migration_id": EXAMPLE_ID, "migration_info": info }))
            },
        )
    },
    shows(
        VaultOp::UiMounts,
        "List mounts and ways to log in",
        "What user interfaces ask first.",
        "UiMountsResponse",
        || system(&json!({ "auth": methods(), "secret": { "secret/": mount() } })),
    ),
    Row {
        problems: &["Preflight"],
        ..shows(
            VaultOp::UiMount,
            "Show the mount above a path",
            "What the CLI asks before each of its `kv` commands. Where no mount is, the answer is 403.",
            "UiMountResponse",
            || system(&merged([mount(), json!({ "path": "secret/" })])),
        )
    },
    shows(
        VaultOp::AuthMethods,
        "List ways to log in",
        "Certificates and tokens, and no others.",
        "AuthMethodsResponse",
        || repeated(methods()),
    ),
    Row {
        problems: &["NoAuthMethod"],
        ..shows(VaultOp::ReadAuthMethod, "Show a way to log in", "One that the list has.", "AuthMethodResponse", || {
            repeated(method("token", "token based credentials"))
        })
    },
    Row {
        problems: &["NoAuthMethodToTune"],
        ..shows(
            VaultOp::ReadAuthTune,
            "Show how long tokens live",
            "By default and at most, in seconds: the operator's `tokens.default_ttl` and `tokens.max_ttl`.",
            "AuthTuneResponse",
            || {
                repeated(json!({
                    "default_lease_ttl": 768 * 3_600, "description": "token based credentials", "force_no_cache": false,
                    "max_lease_ttl": 768 * 3_600, "token_type": "default-service",
                }))
            },
        )
    },
    Row {
        body: Some(("CapabilitiesRequest", || json!({ "paths": { "paths": ["secret/data/app/database"] } }))),
        problems: &["NoPaths"],
        ..shows(
            VaultOp::Capabilities,
            "Ask what one may do",
            "Everything below a mount, as there are no policies yet; nothing elsewhere.",
            "CapabilitiesResponse",
            capabilities,
        )
    },
    Row {
        body: Some((
            "TokenCapabilitiesRequest",
            || json!({ "paths": { "paths": ["secret/data/app/database"], "token": TOKEN_TEXT } }),
        )),
        problems: &["NoPaths", "NoToken", "InvalidToken"],
        ..shows(
            VaultOp::CapabilitiesOfToken,
            "Ask what a token may do",
            "What its certificate may do.",
            "CapabilitiesResponse",
            capabilities,
        )
    },
    Row {
        body: Some((
            "AccessorCapabilitiesRequest",
            || json!({ "paths": { "accessor": "Qm3xT8s1Zr0d", "paths": ["secret/data/app/database"] } }),
        )),
        problems: &["NoPaths", "BadAccessor"],
        ..shows(
            VaultOp::CapabilitiesOfAccessor,
            "Ask what a token may do, by its accessor",
            "What its certificate may do.",
            "CapabilitiesResponse",
            capabilities,
        )
    },
    Row {
        body: Some(("RandomRequest", || json!({ "default": {}, "hexadecimal": { "bytes": 16, "format": "hex" } }))),
        problems: &["TooFewBytes", "TooManyBytes", "BadFormat"],
        ..shows(
            VaultOp::Random,
            "Get random bytes",
            "From the system's own source. Their number is 32, or in the path, or in the body.",
            "RandomResponse",
            || system(&json!({ "random_bytes": "8lFKpV5ff8lOU6NRMc4V2COYrfjhd09i5ozZnWMRGzw=" })),
        )
    },
    Row {
        parameters: &["format"],
        answer: Answer::Text(
            "# HELP okmsd_ready 1 while the server takes reads and writes.\n# TYPE okmsd_ready gauge\nokmsd_ready 1\n",
        ),
        problems: &["OnlyPrometheus"],
        ..does(
            VaultOp::Metrics,
            "Read the server's figures",
            "Those of the admin listener. They are about all domains, so that only operators may see them.",
        )
    },
    Row {
        parameters: &["wrapTtl"],
        body: Some(("WrapRequest", || json!({ "any": { "password": "example-only" } }))),
        problems: &["NoWrapTtl"],
        ..shows(
            VaultOp::Wrap,
            "Wrap a body",
            "Keeps the body for whoever of the domain brings the token. The header must say for how long.",
            "WrapResponse",
            wrapped,
        )
    },
    Row {
        parameters: &["wrappingToken"],
        body: Some(TOKEN),
        problems: &["NothingWrapped"],
        ..shows(
            VaultOp::Unwrap,
            "Unwrap an answer",
            "The answer that was kept, with its status. It is given once.",
            "UnwrapResponse",
            || system(&json!({ "password": "example-only" })),
        )
    },
    Row {
        parameters: &["wrappingToken"],
        body: Some(TOKEN),
        problems: &["NothingWrapped"],
        ..shows(
            VaultOp::LookupWrapped,
            "Look up a wrapping token",
            "What is kept under it, without its content; the token stays good.",
            "LookupWrappedResponse",
            || system(&json!({ "creation_path": "sys/wrapping/wrap", "creation_time": CREATED, "creation_ttl": 300 })),
        )
    },
    Row {
        parameters: &["wrappingToken"],
        body: Some(TOKEN),
        problems: &["NothingWrapped"],
        ..shows(
            VaultOp::Rewrap,
            "Change a wrapping token",
            "What is kept goes on under a new token and for its full time again; the old token ends.",
            "WrapResponse",
            wrapped,
        )
    },
];

const VERSION: &str = concat!("1.21.0+okmsd.", env!("CARGO_PKG_VERSION"));
const TOKEN: (&str, fn() -> Value) = ("TokenRequest", || json!({ "token": { "token": WRAPPING } }));
const TOKEN_TEXT: &str = "okms.Qm3xT8s1Zr0d.9eYwZ1f8T3kQ";
const WRAPPING: &str = "okms.wrapped.9eYwZ1f8T3kQ";

fn system(data: &Value) -> Value {
    envelope("system", data)
}

fn wrapped() -> Value {
    let info = json!({
        "accessor": "wrapped", "creation_path": "sys/wrapping/wrap", "creation_time": CREATED, "token": WRAPPING,
        "ttl": 300,
    });
    with(envelope("", &Value::Null), "wrap_info", &info)
}

fn config() -> Value {
    json!({ "default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0 })
}

fn mount() -> Value {
    json!({
        "accessor": "kv_1b4e28ba", "config": config(), "deprecation_status": "supported",
        "description": "key/value secret storage", "external_entropy_access": false, "local": false,
        "options": { "version": "2" }, "plugin_version": "", "running_plugin_version": VERSION, "running_sha256": "",
        "seal_wrap": false, "type": "kv", "uuid": EXAMPLE_ID,
    })
}

fn capabilities() -> Value {
    let all = json!(["create", "delete", "list", "patch", "read", "update"]);
    repeated(json!({ "capabilities": all, "secret/data/app/database": all }))
}

fn method(kind: &str, description: &str) -> Value {
    let config = merged([config(), json!({ "token_type": "default-service" })]);
    json!({
        "accessor": format!("auth_{kind}"), "config": config, "description": description,
        "external_entropy_access": false, "local": false, "options": null, "seal_wrap": false, "type": kind,
        "uuid": EXAMPLE_ID,
    })
}

fn methods() -> Value {
    json!({
        "cert/": method("cert", "client certificates of the domain"),
        "token/": method("token", "token based credentials"),
    })
}
