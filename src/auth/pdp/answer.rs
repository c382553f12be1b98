//! How the answers of a policy decision point are read.
//!
//! Always holds: what is not an answer in so many words permits nothing; an obligation that is not understood
//! makes a permission a denial, and so does one in a place where none is looked for, and whatever is called a constraint.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::auth::object::{Object, OtherType};

/// For so long a permission counts at most, whatever is said.
const TIME_MAX: Duration = Duration::from_secs(300);
/// The longest id of a decision that is kept, in bytes.
const ID_BYTES_MAX: usize = 128;

/// What was said of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it may be done.
    pub is_permitted: bool,
    /// By what the decision is known, where that is said.
    pub id: Option<Arc<str>>,
    /// How the permission may be used again, where it may be.
    pub reuse: Option<Reuse>,
}

/// How a permission may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// For so long.
    pub time: Duration,
    /// So often, the first time included; as often as one likes where nothing is said.
    pub uses: Option<u32>,
}

/// What came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no answer: JSON with a decision that is true or false for each question")]
pub struct NoAnswer;

/// What is told beside a decision.
#[derive(Default)]
struct Context {
    decision_id: Option<Value>,
    id: Option<Value>,
    obligations: Option<Value>,
    /// Whether there are more of them elsewhere in it.
    has_others: bool,
    ttl_seconds: Option<Value>,
    max_uses: Option<Value>,
}

impl Context {
    fn of(object: &Object) -> Result<Self, NoAnswer> {
        let member = |name| {
            let value = object.value(name).map_err(|OtherType| NoAnswer)?;
            Ok(value.filter(|value| !value.is_null()))
        };
        Ok(Self {
            decision_id: member("decision_id")?,
            id: member("id")?,
            obligations: member(OBLIGATIONS)?,
            has_others: is_bound_beside(object, OBLIGATIONS),
            ttl_seconds: member(TTL)?,
            max_uses: member(USES)?,
        })
    }
}

impl Answer {
    /// What a body says to one question.
    ///
    /// # Errors
    /// [`NoAnswer`] where it is none.
    pub fn read(body: &[u8]) -> Result<Self, NoAnswer> {
        Self::of(&Object::read(body).ok_or(NoAnswer)?)
    }

    /// What a body says to so many questions, in their order.
    ///
    /// # Errors
    /// [`NoAnswer`] where it is none to one of them.
    pub fn read_all(body: &[u8], questions: usize) -> Result<Vec<Self>, NoAnswer> {
        let told = Object::read(body).ok_or(NoAnswer)?;
        let is_bound = is_bound_beside(&told, EVALUATIONS);
        let told = told.objects(EVALUATIONS).map_err(|OtherType| NoAnswer)?;
        let told = told.filter(|told| told.len() == questions).ok_or(NoAnswer)?;
        let all = told.iter().map(|told| Ok(Self::of(told)?.unless(is_bound)));
        all.collect()
    }

    fn of(told: &Object) -> Result<Self, NoAnswer> {
        let decision = told.boolean("decision").map_err(|OtherType| NoAnswer)?;
        let decision = decision.ok_or(NoAnswer)?;
        let context = told.object_or_null(CONTEXT).map_err(|OtherType| NoAnswer)?;
        let context = context.map_or_else(|| Ok(Context::default()), |it| Context::of(&it))?;
        let is_bound = context.has_others || is_bound_beside(told, CONTEXT);
        let reuse = Bounds::of(&context);
        let answer = Self {
            is_permitted: decision && reuse.is_some(),
            id: [&context.decision_id, &context.id].into_iter().flatten().find_map(id),
            reuse: reuse.and_then(Bounds::reuse).filter(|_| decision),
        };
        Ok(answer.unless(is_bound))
    }

    /// It, or a denial where the permission is bound to what is not understood.
    fn unless(self, is_bound: bool) -> Self {
        let is_permitted = self.is_permitted && !is_bound;
        Self { is_permitted, reuse: self.reuse.filter(|_| is_permitted), ..self }
    }
}

/// The id of a decision, if it is one that can be kept and told.
fn id(said: &Value) -> Option<Arc<str>> {
    let text = said.as_str()?;
    let is_fit = (1..=ID_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    is_fit.then(|| text.into())
}

/// Whether something that binds stands anywhere but in this member.
fn is_bound_beside(told: &Object, understood: &str) -> bool {
    let mut members = told.beside(understood);
    // What cannot be read may say anything.
    members.any(|(name, value)| value.is_none_or(|value| is_bound(name, &value)))
}

fn is_bound(name: &str, value: &Value) -> bool {
    let binds = BINDING.contains(&name);
    match value {
        Value::Object(members) if binds => !members.is_empty(),
        Value::Array(all) if binds => !all.is_empty(),
        Value::Object(members) => members.iter().any(|(name, value)| is_bound(name, value)),
        Value::Array(all) => all.iter().any(|value| is_bound("", value)),
        value => binds && !value.is_null(),
    }
}

/// What obligations ask for.
#[derive(Clone, Copy, Default)]
struct Bounds {
    seconds: Option<u64>,
    uses: Option<u64>,
}

impl Bounds {
    /// Nothing where something is asked for that is not understood.
    fn of(context: &Context) -> Option<Self> {
        let mut bounds = Self::default();
        for (name, said) in [(TTL, &context.ttl_seconds), (USES, &context.max_uses)] {
            if let Some(said) = said {
                bounds.bind(name, said)?;
            }
        }
        match &context.obligations {
            None => {}
            Some(Value::Object(members)) => bounds.bind_each(members)?,
            Some(Value::Array(all)) => {
                for one in all {
                    bounds.bind_one(one.as_object()?)?;
                }
            }
            Some(_) => return None,
        }
        Some(bounds)
    }

    /// An obligation: its id with its value, or the bounds by their names.
    fn bind_one(&mut self, obligation: &Map<String, Value>) -> Option<()> {
        let Some(id) = obligation.get("id") else { return self.bind_each(obligation) };
        let id = id.as_str()?;
        let mut beside = obligation.iter().filter(|(name, _)| *name != "id");
        match (beside.next(), beside.next()) {
            (Some((name, said)), None) if name == "value" || name == id => self.bind(id, said),
            _ => None,
        }
    }

    fn bind_each(&mut self, members: &Map<String, Value>) -> Option<()> {
        members.iter().try_for_each(|(name, said)| self.bind(name, said))
    }

    /// The narrowest of what is said counts.
    fn bind(&mut self, name: &str, said: &Value) -> Option<()> {
        let number = said.as_u64()?;
        let bound = match name {
            TTL => &mut self.seconds,
            // Nothing can be done no times.
            USES if number > 0 => &mut self.uses,
            _ => return None,
        };
        *bound = Some(bound.map_or(number, |bound| bound.min(number)));
        Some(())
    }

    fn reuse(self) -> Option<Reuse> {
        let Self { seconds, uses } = self;
        if seconds.is_none() && uses.is_none() {
            return None;
        }
        let time = seconds.map_or(TIME_MAX, Duration::from_secs).min(TIME_MAX);
        let uses = uses.map(|uses| u32::try_from(uses).unwrap_or(u32::MAX));
        (!time.is_zero() && uses != Some(1)).then_some(Reuse { time, uses })
    }
}

const EVALUATIONS: &str = "evaluations";
const CONTEXT: &str = "context";
const OBLIGATIONS: &str = "obligations";
/// By these names others say that a permission is for less than what was asked; none of it is kept here.
const BINDING: [&str; 2] = [OBLIGATIONS, "constraints"];
const TTL: &str = "ttl_seconds";
const USES: &str = "max_uses";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Answer, NoAnswer> {
        Answer::read(body.to_string().as_bytes())
    }

    #[test]
    fn what_is_no_answer_permits_nothing() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "true",
            "{\"decision\":\"true\"}",
            "{\"decision\":1}",
            "{\"decision\":null}",
            "{\"decision\":true",
            "{\"decision\":true} x",
            "{\"decision\":true,\"decision\":true}",
            "{\"Decision\":true}",
            "[true]",
            "[true,null]",
            "{\"decision\":true,\"context\":[1]}",
            "{\"decision\":true,\"context\":\"x\"}",
            "{\"evaluations\":[{\"decision\":true}]}",
            "\u{feff}{\"decision\":true}",
        ] {
            assert_eq!(Answer::read(body.as_bytes()), Err(NoAnswer), "{body}");
        }
        assert_eq!(Answer::read(b"{\"decision\":true,\"x\":\"\xff\"}"), Err(NoAnswer));
        for body in [
            json!({}),
            json!({"decision": true}),
            json!({"evaluations": []}),
            json!({"evaluations": [{"decision": true}]}),
            json!({"evaluations": [{"decision": true}, {}]}),
            json!({"evaluations": [{"decision": true}, {"decision": true}, {"decision": true}]}),
            json!({"evaluations": {"0": {"decision": true}}}),
        ] {
            assert_eq!(Answer::read_all(body.to_string().as_bytes(), 2), Err(NoAnswer), "{body}");
        }
        let body = json!({"evaluations": [{"decision": true}, {"decision": false}], "x": 1});
        let all = Answer::read_all(body.to_string().as_bytes(), 2).unwrap();
        assert_eq!(all.iter().map(|one| one.is_permitted).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_decision_has_an_id() {
        let long = "x".repeat(129);
        for (context, expected) in [
            (json!(null), None),
            (json!({}), None),
            (json!({"decision_id": "a", "id": "b"}), Some("a")),
            (json!({"id": "b"}), Some("b")),
            (json!({"decision_id": 7, "id": "b"}), Some("b")),
            (json!({"decision_id": ""}), None),
            (json!({"decision_id": "a\nb"}), None),
            (json!({"decision_id": long}), None),
        ] {
            let answer = read(&json!({"decision": false, "context": context})).unwrap();
            assert_eq!((answer.is_permitted, answer.id.as_deref()), (false, expected), "{context}");
        }
    }

    #[test]
    fn obligations_are_understood_or_deny() {
        let reuse = |seconds, uses| Some(Reuse { time: Duration::from_secs(seconds), uses });
        for (obligations, expected) in [
            (json!(null), None),
            (json!([]), None),
            (json!({}), None),
            (json!([{"id": "ttl_seconds", "value": 60}]), reuse(60, None)),
            (json!([{"id": "ttl_seconds", "ttl_seconds": 60}]), reuse(60, None)),
            (json!([{"ttl_seconds": 60}, {"max_uses": 2}]), reuse(60, Some(2))),
            (json!({"ttl_seconds": 60, "max_uses": 2}), reuse(60, Some(2))),
            (json!({"max_uses": 2}), reuse(300, Some(2))),
            (json!({"ttl_seconds": 100_000}), reuse(300, None)),
            (json!([{"ttl_seconds": 60}, {"ttl_seconds": 5}]), reuse(5, None)),
            (json!({"ttl_seconds": 0}), None),
            (json!({"max_uses": 1}), None),
        ] {
            let answer = read(&json!({"decision": true, "context": {"obligations": obligations}}));
            let answer = answer.unwrap();
            assert_eq!((answer.is_permitted, answer.reuse), (true, expected), "{obligations}");
        }
        for obligations in [
            json!("log"),
            json!(7),
            json!(true),
            json!([7]),
            json!(["ttl_seconds"]),
            json!([{"id": "log"}]),
            json!([{"id": "log", "value": 1}]),
            json!([{"id": 7}]),
            json!([{"id": "ttl_seconds"}]),
            json!([{"id": "ttl_seconds", "value": "60"}]),
            json!([{"id": "ttl_seconds", "value": -1}]),
            json!([{"id": "ttl_seconds", "value": 1.5}]),
            json!([{"id": "ttl_seconds", "value": 60, "mask": true}]),
            json!([{"id": "ttl_seconds", "max_uses": 2}]),
            json!({"ttl_seconds": 60, "mask": true}),
            json!({"max_uses": 0}),
            json!({"ttl_seconds": null}),
            json!([{"ttl_seconds": 60}, {"id": "log", "value": 1}]),
        ] {
            let answer = read(&json!({"decision": true, "context": {"obligations": obligations}}));
            let answer = answer.unwrap();
            assert_eq!((answer.is_permitted, answer.reuse), (false, None), "{obligations}");
        }
        let direct = json!({"decision": true, "context": {"ttl_seconds": 60, "max_uses": 3}});
        assert_eq!(read(&direct).unwrap().reuse, reuse(60, Some(3)));
        let denied = json!({"decision": false, "context": {"ttl_seconds": 60}});
        assert_eq!(read(&denied).unwrap().reuse, None);
    }

    /// What was named so beside the places where obligations are looked for was passed over, and the permission counted.
    #[test]
    fn obligations_elsewhere_deny() {
        let mask = json!([{"id": "mask"}]);
        for (body, expected) in [
            (json!({"decision": true, "obligations": mask}), false),
            (json!({"decision": true, "obligations": {"ttl_seconds": 60}}), false),
            (json!({"decision": true, "obligations": "mask"}), false),
            (json!({"decision": true, "context": {"x": {"obligations": mask}}}), false),
            (json!({"decision": true, "response": [{"obligations": mask}]}), false),
            (json!({"decision": true, "context": {"ttl_seconds": 60}, "obligations": mask}), false),
            (json!({"decision": true, "context": {"constraints": mask}}), false),
            (json!({"decision": true, "context": {"constraints": {"rows": 5}}}), false),
            (json!({"decision": true, "context": {"enforcement": {"constraints": mask}}}), false),
            (json!({"decision": true, "constraints": false}), false),
            // Nothing is asked for.
            (json!({"decision": true, "obligations": []}), true),
            (json!({"decision": true, "obligations": {}, "x": {"obligations": null}}), true),
            (json!({"decision": true, "context": {"enforcement": {"constraints": []}}}), true),
            (json!({"decision": true, "context": {"reason_user": "obligations"}}), true),
        ] {
            let answer = read(&body).unwrap();
            assert_eq!(answer.is_permitted, expected, "{body}");
            assert!(answer.reuse.is_none(), "{body}");
        }
        let yes = json!({"decision": true});
        for (body, expected) in [
            (json!({"evaluations": [yes, yes], "context": {"obligations": mask}}), [false, false]),
            (json!({"evaluations": [yes, yes], "obligations": mask}), [false, false]),
            (json!({"evaluations": [yes, {"decision": true, "obligations": mask}]}), [true, false]),
            (json!({"evaluations": [yes, yes], "context": {"obligations": []}}), [true, true]),
            (json!({"evaluations": [yes, yes], "context": {"id": "x"}}), [true, true]),
        ] {
            let all = Answer::read_all(body.to_string().as_bytes(), 2).unwrap();
            let all: Vec<_> = all.iter().map(|one| one.is_permitted).collect();
            assert_eq!(all, expected, "{body}");
        }
    }

    proptest! {
        /// Whatever comes, it ends, and permits nothing that does not say so.
        #[test]
        fn nothing_permits_by_chance(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let permits = Answer::read(&body).is_ok_and(|answer| answer.is_permitted);
            prop_assert!(!permits || body.windows(4).any(|word| word == b"true"));
        }

        /// An obligation of another name is a denial, wherever it stands.
        #[test]
        fn other_obligations_deny(name in "[a-z_]{1,12}", at in 0_usize..3, value in any::<u32>()) {
            prop_assume!(name != TTL && name != USES);
            let mut all = vec![json!({"ttl_seconds": 60}), json!({"max_uses": 9})];
            all.insert(at, json!({ "id": name, "value": value }));
            let body = json!({"decision": true, "context": {"obligations": all}});
            prop_assert!(!read(&body).unwrap().is_permitted);
        }
    }
}
