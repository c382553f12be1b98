//! Who may what, by certificate, by user and by token.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    auth::{
        access::Written,
        acl::{
            self, Mounts,
            naive::{self, Naive, hcl},
        },
        acls::WrittenUser,
    },
    model::SecretPath,
};

#[test]
fn who_may_what() {
    let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
    let (own, foreign) = (id(1), id(2));
    let (operator, principal) = (Principal::of_process(), Principal::of_test(own));
    let access = &AccessDirectory::new(BuiltIn::Admin);
    for action in Action::ALL {
        let actions = &[*action];
        assert!(operator.authorize(foreign, actions, access).is_ok());
        assert_eq!(
            principal.authorize(foreign, actions, access).unwrap_err(),
            Denied::UnknownDomain
        );
        let refused = action.is_operators().then_some(Denied::OperatorsOnly).map_or(Ok(()), Err);
        assert_eq!(principal.authorize(own, actions, access).map(drop), refused, "{action:?}");
        assert!(operator.authorize_region(actions, None).is_ok());
        let in_own = principal.authorize(own, actions, access).ok();
        let of_region = principal.authorize_region(actions, in_own.as_ref());
        assert_eq!(of_region.is_ok(), *action == Action::DomainGet);
        assert!(principal.authorize_region(actions, None).is_err());
    }
    let permit =
        principal.authorize(own, &[Action::SecretGet, Action::CredentialCreate], access).unwrap();
    assert_eq!(permit.okms_id(), own);
    let path = "a/b".parse().unwrap();
    for resource in [Resource::Tenant, Resource::Below("a/"), Resource::Secret(&path)] {
        assert!(permit.check(Action::SecretGet, resource).is_ok());
        assert_eq!(
            permit.check(Action::CredentialCreate, resource),
            Err(Denied::OperatorsOnly),
            "not allowed"
        );
        assert_eq!(
            permit.check(Action::VersionGetData, resource),
            Err(Denied::Forbidden),
            "not asked for"
        );
    }
    assert!(permit.check(Action::DomainGet, Resource::Tenant).is_ok());
    let seen = principal.authorize_region(&[Action::DomainGet], Some(&permit)).unwrap();
    assert_eq!(seen.sees(), Some(own));
    assert_eq!(operator.authorize_region(&[Action::DomainGet], None).unwrap().sees(), None);
}

/// Without a certificate there is nothing but the login, whatever the domain gives to those with one;
/// and then what the user may whose token it is.
#[test]
fn a_visitor_may_what_its_user_may() {
    let id = OkmsId::from_bytes([1; 16]).unwrap();
    for default in BuiltIn::ALL {
        let access = &AccessDirectory::new(default);
        let visitor = crate::auth::directory::visitor(id);
        let permit = visitor.authorize(id, Action::ALL, access).unwrap();
        for action in Action::ALL {
            let expected = *action == Action::DomainGet;
            assert_eq!(permit.allows(*action, Resource::Tenant), expected, "{action:?}");
        }
        let permit = visitor.authorize(id, &[Action::SecretGet], access).unwrap();
        let narrowed = Bearer::of_policies(vec!["admin".to_owned()]);
        for bearer in [Bearer::default(), narrowed] {
            assert_eq!(permit.settle(&bearer, access).unwrap_err(), Denied::Forbidden);
        }
        let ann = Bearer::of_user("ann".to_owned());
        assert_eq!(permit.settle(&ann, access).unwrap_err(), Denied::Forbidden, "she has none");
        assert_eq!(
            visitor
                .authorize(OkmsId::from_bytes([2; 16]).unwrap(), Action::ALL, access)
                .unwrap_err(),
            Denied::UnknownDomain
        );
    }
}

/// A permit for the region said whose it was, and nothing of what it was for: one that was
/// asked for to look at domains would have done to make one.
#[test]
fn a_permit_for_the_region_is_for_what_was_asked_and_allowed() {
    let asked = [Action::DomainGet, Action::DomainCreate];
    let own = OkmsId::from_bytes([1; 16]).unwrap();
    let tenant = Principal::of_test(own);
    let access = AccessDirectory::new(BuiltIn::Nothing);
    let in_own = tenant.authorize(own, &asked, &access).unwrap();
    for (principal, asked, may) in [
        (Principal::of_process(), asked.as_slice(), asked.as_slice()),
        (Principal::of_process(), &[Action::DomainGet], &[Action::DomainGet]),
        (Principal::of_process(), &[Action::MetricsGet], &[Action::MetricsGet]),
        (tenant, &asked, &[Action::DomainGet]),
    ] {
        let permit = principal.authorize_region(asked, Some(&in_own)).unwrap();
        for action in Action::ALL {
            let expected = if may.contains(action) { Ok(()) } else { Err(Denied::OperatorsOnly) };
            assert_eq!(permit.check(*action), expected, "{asked:?} {action:?}");
        }
    }
}

/// The names of some of a test's policies.
fn names(mask: u8) -> Vec<String> {
    (0..4).filter(|n| mask & 1 << n != 0).map(|n| format!("vault-{n}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A child named some of its maker's policies, and so left out those that deny, and those whose more
    /// specific blocks give less: it was allowed more. What a token allows is what it allows itself and
    /// each token that it was made with, and the user for whom it stands.
    #[test]
    fn a_token_may_at_most_what_its_makers_may(
        blocks in naive::mounted_policies(4),
        of_user in 1..16_u8,
        line in vec(1..16_u8, 1..4),
        paths in vec("[ab](/[ab]){0,2}", 6),
    ) {
        let id = OkmsId::from_bytes([1; 16]).unwrap();
        let in_vault = blocks.iter().enumerate().map(|(n, blocks)| {
            (format!("vault-{n}").into(), acl::Policy::parse(&hcl(blocks)).unwrap().into())
        });
        let ann = WrittenUser { policies: names(of_user), ..WrittenUser::default() };
        let written = Written {
            in_vault: in_vault.collect(),
            mounts: Mounts::of(&naive::mounts()),
            users: vec![("ann".into(), ann.into())],
            ..Written::default()
        };
        let access = &AccessDirectory::new(BuiltIn::Nothing);
        access.replace(id, &written);
        let said = |mask: u8| {
            let of_mask = blocks.iter().enumerate().filter(|(n, _)| mask & 1 << n != 0);
            Naive::of(&of_mask.map(|(_, blocks)| blocks.clone()).collect())
        };
        // The user, and then each token that was made with the one before.
        let (mut bearer, mut mask) = (Bearer::of_user("ann".to_owned()), 15);
        let (mut bearers, mut sets) = (vec![bearer.clone()], vec![said(of_user)]);
        for some in line {
            // One that names nothing has what its maker has.
            if mask & some == 0 {
                continue;
            }
            mask &= some;
            bearer = bearer.child(names(mask)).unwrap();
            bearers.push(bearer.clone());
            sets.push(said(mask));
        }
        let visitor = crate::auth::directory::visitor(id);
        let shown = naive::shown();
        let actions =
            [Action::SecretList, Action::SecretGet, Action::SecretDelete, Action::VersionGetData];
        for path in &paths {
            let at: SecretPath = path.parse().unwrap();
            for action in actions {
                let mut is_allowed = true;
                for (bearer, set) in bearers.iter().zip(&sets) {
                    is_allowed &= set.says(&shown, action, path, None) == Some(true);
                    let permit = visitor.authorize(id, &[action], access).unwrap();
                    let allows = permit.settle(bearer, access).is_ok_and(|permit| {
                        permit.allows(action, Resource::Secret(&at))
                    });
                    prop_assert_eq!(allows, is_allowed, "{:?} {} {:?}", action, path, bearer);
                }
            }
            // What is told of a child is told of its maker.
            let address = format!("secret/data/{path}");
            let of = |bearer: &Bearer| {
                let permit = visitor.authorize(id, &[Action::DomainGet], access).unwrap();
                permit.tells_of(bearer, access).unwrap().tells_at(&address)
            };
            for pair in bearers.windows(2) {
                let (maker, child) = (of(&pair[0]), of(&pair[1]));
                prop_assert_eq!(child & maker, child, "{}", address);
            }
        }
    }
}
