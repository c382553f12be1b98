//! What a domain has, and how often it has asked.

use std::sync::atomic::Ordering::Relaxed;

use super::super::{Call, Context, Reply, json::Writer};
use crate::{auth::Permit, service::Error};

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let service = &context.service;
    let usage = service.usages.get(permit).await?;
    let tokens = service.tokens.number(permit, call.now).await?;
    let requests = service.usages.requests(permit.okms_id()).load(Relaxed);
    Ok(Reply::json(Writer::object(|out| {
        let mut number = |name, number: Option<u64>| match number {
            Some(number) => out.raw(name, number.to_string().as_bytes()),
            None => out.null(name),
        };
        number("requests", Some(requests));
        number("secrets", usage.map(|usage| usage.secrets));
        number("tokens", Some(tokens));
        number("versionBytes", usage.map(|usage| usage.bytes));
    })))
}
