//! The shapes of the Vault dialect: under the published names where there are any, with what `api::vault` gives.

use serde_json::{Map, Value, json};

use super::{DATA, error_members, merged, reference};
use crate::domain::{METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX, VERSION_MAX};

/// The shapes.
pub(super) fn schemas() -> Value {
    merged([envelopes(), values(), requests(), system(), tokens()])
}

fn envelopes() -> Value {
    let of = |schema: &str| envelope(&reference("schemas", schema));
    let gone = |schema: &str| {
        let properties = merged([members(&reference("schemas", schema)), error_members()]);
        json!({
            "type": "object",
            "description": "Of what is not there, the error alone; of a version that cannot be read, the envelope too.",
            "required": ["error_code", "error_id", "errors", "request_id"],
            "properties": properties,
        })
    };
    json!({
        "GetSecretResponse": of("SecretData"),
        "PostSecretResponse": of("SecretVersionMetadata"),
        "PatchSecretResponse": of("SecretVersionMetadata"),
        "GetSecretSubkeysResponse": of("SecretDataSubkeys"),
        "GetMetadataResponse": of("SecretMetadata"),
        "ListDetailedMetadataResponse": envelope(&nullable(some(json!({
            "key_info": map("Each entry's metadata; nothing of a folder.", &reference("schemas", "SecretMetadata")),
            "keys": keys(),
        })))),
        "GetConfigResponse": envelope(&nullable(whole(settings(false)))),
        "Warnings": envelope(&nothing()),
        "GetErrorResponseWithMetadata": gone("SecretData"),
        "PatchErrorResponseWithMetadata": gone("SecretVersionMetadata"),
        "GetSubkeysErrorResponseWithMetadata": gone("SecretDataSubkeys"),
        "WrapResponse": envelope(&nothing()),
        "AuthResponse": envelope(&nothing()),
        "WrapInfo": nullable(about(
            json!({
                "accessor": text("An id of the token that gives nothing away."),
                "creation_path": text("What was asked."),
                "creation_time": time("When the answer was kept."),
                "token": text("Fetches the answer once."),
                "ttl": number("For how many seconds it is kept."),
            }),
            json!({ "wrapped_accessor": text("The accessor of the token in the answer, where there is one.") }),
        )),
    })
}

fn values() -> Value {
    let metadata = reference("schemas", "SecretVersionMetadata");
    let times = json!({
        "created_time": time("When the version was added."),
        "deletion_time": text("When it was deleted, or will be; empty where neither is so."),
        "destroyed": flag("Whether the value is gone for good."),
    });
    let of_version = json!({ "custom_metadata": custom_metadata(false), "version": version() });
    let of_secret = json!({
        "created_time": time("When the secret was created."),
        "current_metadata_version": number("How often the metadata was written."),
        "current_version": number("The newest version; 0 where there is none yet."),
        "custom_metadata": custom_metadata(false),
        "keys": keys(),
        "oldest_version": number("The oldest version that is kept; 0 until the limit takes effect for the first time."),
        "updated_time": time("When the secret was created, or a version was added last."),
        "urn": text("The secret's name in policies."),
        "versions": map("The versions that are kept, by number.", &reference("schemas", "SecretVersionMetadataShort")),
    });
    json!({
        "SecretVersionMetadataShort": whole(times.clone()),
        "SecretVersionMetadata": nullable(whole(merged([times, of_version]))),
        "SecretData": nullable(whole(json!({
            "data": nullable(free("The value; null where the version is deleted or destroyed.")),
            "metadata": metadata,
        }))),
        "SecretDataSubkeys": nullable(whole(json!({
            "metadata": metadata,
            "subkeys": nullable(free("The value with null for whatever is no object; null where there is none.")),
        }))),
        "SecretMetadata": {
            "type": "object", "nullable": true,
            "description": "A secret's metadata, or of a list only `keys`.",
            "properties": merged([settings(false), of_secret]),
        },
    })
}

fn requests() -> Value {
    let custom = json!({
        "custom_metadata": custom_metadata(true),
        "metadata_cas": number("The metadata's `current_metadata_version`, which must still be the current one."),
    });
    json!({
        "PostSecretRequest": {
            "type": "object", "required": ["data"],
            "properties": {
                "data": { "type": "object", "additionalProperties": true, "description": DATA },
                "options": reference("schemas", "PostSecretOptions"),
            },
        },
        "PostSecretOptions": some(json!({
            "cas": number("The secret's current version, which must still be the current one; 0: there is none yet."),
        })),
        "SecretVersionsRequest": {
            "type": "object", "required": ["versions"],
            "properties": {
                "versions": {
                    "type": "array", "items": { "type": "integer", "format": "uint32" },
                    "description": "The versions' numbers. Those that there are not are passed over.",
                },
            },
        },
        "SecretUpdatableMetadata": some(merged([settings(true), custom])),
        "PostConfigRequest": some(settings(true)),
    })
}

fn system() -> Value {
    let (mount, method) = (reference("schemas", "Mount"), reference("schemas", "AuthMethod"));
    let (mounts, methods) = (map("By path.", &mount), map("By path.", &method));
    let leases = json!({
        "default_lease_ttl": number("0: there are no leases."),
        "force_no_cache": flag("False."),
        "max_lease_ttl": number("0: there are no leases."),
    });
    let options = some(json!({ "version": text("The version of KV, which is `2`.") }));
    let common = json!({
        "accessor": text("An id."), "description": text("For people."),
        "external_entropy_access": flag("False."), "local": flag("False."), "seal_wrap": flag("False."),
        "type": text("`kv`, `cert` or `token`."), "uuid": text("An id."),
    });
    let of_kv = json!({
        "config": whole(leases.clone()), "deprecation_status": text("`supported`."), "options": options,
        "plugin_version": text("Empty."),
        "running_plugin_version": text("The server's version."), "running_sha256": text("Empty."),
    });
    let token_type = json!({ "token_type": text("`default-service`.") });
    let of_method = json!({ "config": whole(merged([leases.clone(), token_type])), "options": nothing() });
    let of_mount = merged([common.clone(), of_kv]);
    let with_path = merged([of_mount.clone(), json!({ "path": text("The mount's path, with a slash at its end.") })]);
    let capabilities = json!({ "type": "array", "items": { "type": "string" } });
    let by_path = map("By path; of a single path also as `capabilities`.", &capabilities);
    let tune = json!({ "description": text("For people."), "options": options });
    let paths = json!({
        "paths": {
            "type": "array", "items": { "type": "string" }, "maxItems": 1000,
            "description": "The paths to ask about, each with its mount.",
        },
    });
    let kind = json!({ "type": text("`kv-v2`; or `kv` with version 2 in `options`.") });
    merged([
        states(),
        json!({
            "Mount": nullable(whole(of_mount)),
            "AuthMethod": whole(merged([common, of_method])),
            "MountsResponse": repeated(mounts.clone(), &mount),
            "MountResponse": beside(&mount),
            "TuneResponse": beside(&nullable(whole(merged([leases, tune.clone()])))),
            "RemountRequest": about(
                json!({ "from": text("The mount's path."), "to": text("Its new path, where no mount is.") }),
                json!({}),
            ),
            "RemountResponse": beside(&nullable(whole(json!({ "migration_id": text("By which to ask about the move.") })))),
            "RemountStatusResponse": envelope(&whole(json!({
                "migration_id": text("The move's id."),
                "migration_info": whole(json!({
                    "source_mount": text("The path before, with a slash at its end."),
                    "status": text("`success`."),
                    "target_mount": text("The path now, with a slash at its end."),
                })),
            }))),
            "AuthMethodResponse": beside(&method),
            "AuthTuneResponse": beside(&nullable(whole(json!({
                "default_lease_ttl": number("How many seconds a token lives whose maker asks for nothing."),
                "description": text("For people."),
                "force_no_cache": flag("False."),
                "max_lease_ttl": number("How many seconds any lives at most."),
                "token_type": text("`default-service`."),
            })))),
            "RandomRequest": some(json!({
                "bytes": {
                    "type": "integer", "minimum": 1, "maximum": 131_072, "default": 32,
                    "description": "How many bytes, where the path does not tell.",
                },
                "format": {
                    "type": "string", "enum": ["base64", "hex"], "default": "base64", "description": "Their form.",
                },
            })),
            "RandomResponse": envelope(&whole(json!({ "random_bytes": text("The bytes.") }))),
            "UiMountsResponse": envelope(&whole(json!({ "auth": methods, "secret": mounts }))),
            "UiMountResponse": envelope(&whole(with_path)),
            "AuthMethodsResponse": repeated(methods.clone(), &method),
            "CapabilitiesResponse": repeated(by_path, &capabilities),
            "EnableMountRequest": {
                "type": "object", "required": ["type"],
                "properties": merged([tune.clone(), kind]),
            },
            "TuneMountRequest": some(tune),
            "CapabilitiesRequest": about(paths.clone(), json!({})),
            "TokenCapabilitiesRequest": about(merged([paths.clone(), json!({ "token": text("The token.") })]), json!({})),
            "AccessorCapabilitiesRequest": about(
                merged([paths, json!({ "accessor": text("The token's accessor.") })]),
                json!({}),
            ),
            "WrapRequest": free("What to keep."),
            "UnwrapResponse": free("The answer that was kept."),
            "LookupWrappedResponse": envelope(&whole(json!({
                "creation_path": text("What was asked."),
                "creation_time": time("When the answer was kept."),
                "creation_ttl": number("For how many seconds."),
            }))),
        }),
    ])
}

/// What has no envelope around it.
fn states() -> Value {
    let cluster = json!({
        "cluster_id": text("An id made of the region's name."), "cluster_name": text("The region's name."),
        "initialized": flag("True."), "sealed": flag("Whether the store does not answer."),
        "version": text("The version of Vault whose API is spoken, and okmsd's."),
    });
    let health = json!({
        "performance_standby": flag("False."), "replication_dr_mode": text("`disabled`."),
        "replication_performance_mode": text("`disabled`."), "server_time_utc": number("The time in Unix seconds."),
        "standby": flag("Whether there are only reads."),
    });
    let seal = json!({
        "build_date": text("Empty."), "migration": flag("False."), "n": number("0."), "nonce": text("Empty."),
        "progress": number("0."), "recovery_seal": flag("False."), "storage_type": text("`redb`."), "t": number("0."),
        "type": text("`okmsd`."),
    });
    json!({
        "HealthResponse": whole(merged([cluster.clone(), health])),
        "SealStatusResponse": whole(merged([cluster, seal])),
        "LeaderResponse": whole(json!({
            "active_time": text("No moment: nobody leads."), "ha_enabled": flag("False."), "is_self": flag("False."),
            "leader_address": text("Empty."), "leader_cluster_address": text("Empty."),
            "performance_standby": flag("False."), "performance_standby_last_remote_wal": number("0."),
        })),
        "InitStatusResponse": whole(json!({ "initialized": flag("True.") })),
    })
}

fn tokens() -> Value {
    let meta = map("More about the token, as it was sent.", &json!({ "type": "string" }));
    let policies = texts("`default`: there are no policies yet.");
    let token = json!({ "token": text("The token.") });
    let accessor = json!({ "accessor": text("The token's accessor.") });
    let increment =
        json!({ "increment": text("The life that is wished for: a Go duration, or seconds (also as a number).") });
    let common = json!({
        "accessor": text("The token's accessor: an id that can look it up, renew and revoke it, and no more."),
        "entity_id": text("Empty."), "num_uses": number("0: as many as there may be."),
        "orphan": flag("True: no token hangs on another."), "policies": policies,
        "renewable": flag("Whether it can get more time."),
    });
    let made = json!({
        "client_token": text("The token; empty where only its accessor is known."),
        "identity_policies": texts("Empty."), "lease_duration": number("How many seconds it lives."), "metadata": meta,
        "mfa_requirement": nothing(), "token_policies": policies,
        "token_type": text("`service`."),
    });
    let shown = json!({
        "creation_time": number("When it was made, in Unix seconds."),
        "creation_ttl": number("The life that it was made with, in seconds."),
        "display_name": text("A name for people."), "expire_time": time("When it ends."),
        "explicit_max_ttl": number("The most that renewals can reach, in seconds; 0 where none was asked for."),
        "id": text("The token; empty where only its accessor is known."),
        "issue_time": time("When it was made."), "meta": meta, "path": text("Where it was made."),
        "ttl": number("How many seconds are left."), "type": text("`service`."),
    });
    let renewed = json!({
        "last_renewal": time("When it was renewed last."),
        "last_renewal_time": number("The same, in Unix seconds."),
    });
    let shown = nullable(about(merged([common.clone(), shown]), renewed));
    json!({
        "Auth": nullable(whole(merged([common, made]))),
        "LookupTokenResponse": envelope(&shown),
        "ListAccessorsResponse": envelope(&nullable(whole(json!({ "keys": texts("The accessors.") })))),
        "LoginRequest": some(json!({ "name": text("Any name: it is kept with the token.") })),
        "CreateTokenRequest": some(json!({
            "display_name": text("A name for people."),
            "explicit_max_ttl": text("The most that renewals can reach, as `ttl`."),
            "meta": meta,
            "renewable": flag("Whether it can get more time; true where it is not given."),
            "ttl": text("How long it lives: a Go duration, or seconds (also as a number); at most `tokens.max_ttl` of \
                         the server's config, which is 768 hours where it says nothing."),
        })),
        "TokenRequest": about(token.clone(), json!({})),
        "AccessorRequest": about(accessor.clone(), json!({})),
        "RenewSelfRequest": some(increment.clone()),
        "RenewTokenRequest": about(token, increment.clone()),
        "RenewAccessorRequest": about(accessor, increment),
    })
}

/// Vault's envelope around `data`.
fn envelope(data: &Value) -> Value {
    whole(members(data))
}

/// The nine members of an envelope.
fn members(data: &Value) -> Value {
    json!({
        "auth": reference("schemas", "Auth"),
        "data": data,
        "lease_duration": number("0: there are no leases."),
        "lease_id": text("Empty."),
        "mount_type": text("`kv`, `system` or `token`; empty where the answer is wrapped."),
        "renewable": flag("False."),
        "request_id": text("The request's id."),
        "warnings": nullable(texts("What had no effect, for people; null where there is nothing to say.")),
        "wrap_info": reference("schemas", "WrapInfo"),
    })
}

/// An envelope whose data is beside its members as well, as older clients look for it there.
fn repeated(data: Value, each: &Value) -> Value {
    merged([envelope(&nullable(data)), json!({ "additionalProperties": each })])
}

/// An envelope whose data's own members are beside its members as well.
fn beside(data: &Value) -> Value {
    merged([envelope(data), json!({ "additionalProperties": true })])
}

/// An object that always has all of these members.
fn whole(properties: Value) -> Value {
    about(properties, json!({}))
}

/// An object that always has the members of `properties`, and may have `more`.
fn about(properties: Value, more: Value) -> Value {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    merged([some(merged([properties, more])), json!({ "required": required })])
}

/// An object that may have these members.
fn some(properties: Value) -> Value {
    Map::from_iter([("type".to_owned(), "object".into()), ("properties".to_owned(), properties)]).into()
}

fn nullable(schema: Value) -> Value {
    merged([schema, json!({ "nullable": true })])
}

fn nothing() -> Value {
    json!({ "type": "object", "nullable": true, "description": "Null." })
}

fn map(text: &str, each: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": each, "description": text })
}

fn free(text: &str) -> Value {
    json!({ "type": "object", "additionalProperties": true, "description": text })
}

fn texts(text: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": text })
}

fn text(text: &str) -> Value {
    json!({ "type": "string", "description": text })
}

fn time(text: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "description": text })
}

fn flag(text: &str) -> Value {
    json!({ "type": "boolean", "description": text })
}

fn number(text: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": text })
}

fn version() -> Value {
    merged([super::version_number(), json!({ "description": "The version's number." })])
}

fn keys() -> Value {
    texts("The names in a list, sorted; a folder's ends in a slash. Absent where a scan finds nothing.")
}

/// The settings of secrets and mounts.
fn settings(is_request: bool) -> Value {
    json!({
        "cas_required": flag("Whether each write that adds a version must bring `cas`."),
        "delete_version_after": text("How long a version lives: a Go duration, days or seconds (also as a number) in a \
                                      request, a Go duration in an answer; `0s`: there is no limit. A mount's can be \
                                      `-1s`: nothing in it ends."),
        "max_versions": {
            "type": "integer", "format": "uint32", "minimum": 0, "maximum": VERSION_MAX, "nullable": is_request,
            "description": "How many versions are kept; 0 stands for the default.",
        },
        "metadata_cas_required": flag("Whether each write of metadata must bring `metadata_cas`."),
    })
}

fn custom_metadata(is_request: bool) -> Value {
    let text = format!(
        "Printable text by name: at most {METADATA_ENTRIES_MAX} entries, a key of 1 to {METADATA_KEY_MAX} bytes, a \
         text of 1 to {METADATA_VALUE_MAX}. Null where there is none{}.",
        if is_request { "; in a patch, null removes an entry, or in place of the map all of them" } else { "" }
    );
    json!({
        "type": "object", "nullable": true, "description": text,
        "additionalProperties": { "type": "string", "nullable": is_request, "minLength": 1 },
    })
}
