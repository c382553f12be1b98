//! Every change that is committed, by the name that metrics have for it.

macro_rules! changes {
    ($($variant:ident = $name:literal,)*) => {
        /// What is changed, as metrics name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is a use case's name")]
        pub enum ChangeName {
            $($variant,)*
            #[cfg(test)]
            Test,
        }

        impl ChangeName {
            /// Every change, in their order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its text.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    #[cfg(test)]
                    Self::Test => "test",
                }
            }
        }
    };
}

changes! {
    CreateTenant = "tenants.create",
    UpdateTenant = "tenants.update",
    UpdateDefaults = "defaults.update",
    EnableMount = "mounts.enable",
    TuneMount = "mounts.tune",
    DisableMount = "mounts.disable",
    RenameMount = "mounts.rename",
    UpdateMountSettings = "mounts.update_settings",
    CreateSecret = "secrets.create",
    UpdateSecret = "secrets.update",
    WriteSecret = "secrets.write",
    PatchSecret = "secrets.patch",
    RemoveMember = "secrets.remove_member",
    CopySecret = "secrets.copy",
    MoveSecret = "secrets.move",
    CopySecrets = "secrets.copy_all",
    MoveSecrets = "secrets.move_all",
    ActOnVersions = "secrets.act",
    WriteMetadata = "secrets.write_metadata",
    DeleteSecret = "secrets.delete",
    SetVersionState = "secrets.set_state",
    PutSecret = "secrets.put",
    AmendSecret = "secrets.amend",
    RemoveSecret = "secrets.remove",
    RestoreSecret = "secrets.restore",
    SweepSecrets = "secrets.sweep",
    LeaveMount = "secrets.leave_mount",
    CompleteIndex = "secrets.complete_index",
    IssueCredential = "credentials.issue",
    CreatePolicy = "policies.create",
    UpdatePolicy = "policies.update",
    DeletePolicy = "policies.delete",
    PutVaultPolicy = "policies.put_vault",
    DeleteVaultPolicy = "policies.delete_vault",
    PutRule = "rules.put",
    DeleteRule = "rules.delete",
    PutUser = "users.put",
    DeleteUser = "users.delete",
    PutCustomerCa = "customer_cas.put",
    DeleteCustomerCa = "customer_cas.delete",
    PutCustomerCaList = "customer_cas.put_list",
    DeleteCustomerCaList = "customer_cas.delete_list",
    RevokeCredential = "credentials.revoke",
    SweepCredentials = "credentials.sweep",
    CreateToken = "tokens.create",
    RenewToken = "tokens.renew",
    RevokeToken = "tokens.revoke",
    ClearTokens = "tokens.clear",
    Wrap = "wrapping.wrap",
    Unwrap = "wrapping.unwrap",
    EndWrapping = "wrapping.end",
    Rewrap = "wrapping.rewrap",
    PutQuota = "quotas.put",
    DeleteQuota = "quotas.delete",
    EnableAuditDevice = "audit_devices.enable",
    DisableAuditDevice = "audit_devices.disable",
    CreateRotationPolicy = "rotation_policies.create",
    UpdateRotationPolicy = "rotation_policies.update",
    DeleteRotationPolicy = "rotation_policies.delete",
    AttachPolicy = "rotation_policies.attach",
    DetachPolicy = "rotation_policies.detach",
    RotateSecret = "secrets.rotate",
    RecordRotation = "rotation_history.record",
    CreateSecretPolicy = "secret_policies.create",
    UpdateSecretPolicy = "secret_policies.update",
    DeleteSecretPolicy = "secret_policies.delete",
}
