//! What somebody else judges beside the permit: a policy decision point is asked before there are keys, and so
//! before anything of a secret is read or changed.
//!
//! Always holds: what nobody has permitted is not done; whoever waits for an answer holds no turn of the store or of its
//! domain, waits for a bounded time, and of one domain there are never so many that nothing is left for others.
//! The server's own work (what is due is rotated, what is over is erased) is judged by nobody, as nobody asks for
//! it. Never does: ask what the permit does not allow anyway.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Error,
    records::{missing, open},
};
use crate::{
    auth::{
        Action, Denied, Detail, Permit, Resource,
        pdp::{
            Answer, Asker, DecisionPoint, Docket, Kept, NobodyAnswers, Provenance, Question,
            Verdict, ask,
        },
    },
    crypto::DomainKeys,
    fair::{Bounds, Turns},
    model::{Header, OkmsId, SecretPath, Timestamp},
    store::{
        engine::{Engine, Read},
        kinds::{Kind, header},
    },
};

/// How many wait for an answer at once, and how many of one domain beside these for their turn.
const ASKING: Bounds = Bounds { all: 128, of_one: 64, waiting: 64 };

/// So many questions are asked at once: others have bounds of their own, of which fifty (Cerbos') is the narrowest.
const AT_ONCE: usize = 50;

/// What was said to one of several questions: nothing against it, or how that is told.
pub(super) type Sifted = Result<(), Error>;

/// How a question was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// By an answer.
    Asked(bool),
    /// By one that counted again.
    Kept(bool),
    /// Not at all.
    Unanswered,
}

/// Who is told of decisions, and how long those took that were asked for.
pub type OnDecision = Box<dyn Fn(Decided, Option<Duration>) + Send + Sync>;

/// Says whether what a permit has allowed is allowed still, at a moment of the machine's clock.
pub(super) type Standing = Box<dyn Fn(&Permit, Timestamp) -> Result<(), Denied> + Send + Sync>;

/// Somebody who judges what permits allow.
pub struct Judge {
    point: Arc<dyn DecisionPoint>,
    /// So long an answer may take.
    time: Duration,
    kept: Kept,
    turns: Arc<Turns<OkmsId>>,
    on_decision: OnDecision,
    standing: Standing,
}

impl Judge {
    /// One that answers within this time, or has not answered.
    #[must_use]
    pub fn new(point: Arc<dyn DecisionPoint>, time: Duration, on_decision: OnDecision) -> Self {
        let standing: Standing = Box::new(|_, _| Ok(()));
        let turns = Turns::new(ASKING);
        Self { point, time, kept: Kept::default(), turns, on_decision, standing }
    }

    /// The same, which has whoever has waited for an answer ask the domain's own policies again.
    pub(super) fn held_against(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// Goes on if all that the permit was asked may be done.
    ///
    /// # Errors
    /// `Error::PdpDenied` where it may not; `Error::PdpUnavailable` where nobody knows; `Error::Denied` where it could not be
    /// waited for, as the domain's own policies do not allow it any more.
    pub(super) async fn judge(
        &self,
        engine: &dyn Engine,
        keys: &DomainKeys,
        permit: &Permit,
    ) -> Result<(), Error> {
        let Some(docket) = permit.docket() else {
            return if permit.subject().is_servers_own() { Ok(()) } else { Err(Error::Unjudged) };
        };
        let open = docket.open();
        if open.is_empty() {
            return Ok(());
        }
        let asker = permit.asker().ok_or(Error::Unjudged)?;
        self.answer(engine, keys, (permit, docket, &asker), open.clone()).await?;
        docket.close(&open);
        let mut denied = None;
        // All of it is told, also what was said of others than the one that is denied.
        for question in open {
            let verdict = docket.verdict(&question).ok_or(Error::Unjudged)?;
            let Verdict { is_permitted, id } = verdict;
            let path = question.path.as_ref().map(SecretPath::as_str);
            permit.learns(Detail::Judged { id: &id, is_permitted, path });
            if !is_permitted {
                denied = denied.or(Some(Error::PdpDenied { purpose: question.purpose, id }));
            }
        }
        denied.map_or(Ok(()), Err)
    }

    /// Has something said to all that is to be asked by and by, at once. Each is still asked by itself, and is told what was
    /// said of it; where nobody has answered, too.
    pub(super) async fn foresee(&self, engine: &dyn Engine, keys: &DomainKeys, permit: &Permit) {
        if let (Some(docket), Some(asker)) = (permit.docket(), permit.asker()) {
            let asked = (permit, docket, &asker);
            let _told_to_each = self.answer(engine, keys, asked, docket.open()).await;
        }
    }

    /// What is said to each of these, of which a request finds many, be it that some are denied.
    ///
    /// # Errors
    /// `Error::PdpUnavailable` where nobody knows.
    pub(super) async fn sift(
        &self,
        engine: &dyn Engine,
        keys: &DomainKeys,
        permit: &Permit,
        asked: &[(Action, Resource<'_>)],
    ) -> Result<Vec<Sifted>, Error> {
        let docket = permit.docket().ok_or(Error::Unjudged)?;
        let asker = permit.asker().ok_or(Error::Unjudged)?;
        let questions: Vec<_> = asked
            .iter()
            .map(|(action, resource)| permit.question(*action, *resource))
            .collect::<Option<_>>()
            .ok_or(Error::Unjudged)?;
        let mut different = questions.clone();
        let mut seen = HashSet::new();
        different.retain(|question| seen.insert(question.clone()));
        self.answer(engine, keys, (permit, docket, &asker), different).await?;
        let said = questions.into_iter().map(|question| {
            let Verdict { is_permitted, id } = docket.verdict(&question).ok_or(Error::Unjudged)?;
            let denied = || Error::PdpDenied { purpose: question.purpose, id };
            Ok(if is_permitted { Ok(()) } else { Err(denied()) })
        });
        said.collect()
    }

    /// Has something said to all of these. Who has waited for that is judged by the domain's own policies again.
    async fn answer(
        &self,
        engine: &dyn Engine,
        keys: &DomainKeys,
        (permit, docket, asker): (&Permit, &Docket, &Asker),
        mut questions: Vec<Question>,
    ) -> Result<(), Error> {
        let (tenant, now) = (keys.id(), Instant::now());
        questions.retain(|question| {
            if docket.verdict(question).is_some() {
                return false;
            }
            let Some(verdict) = self.kept.verdict(asker, tenant, question, now) else {
                return true;
            };
            (self.on_decision)(Decided::Kept(verdict.is_permitted), None);
            docket.says(question.clone(), verdict);
            false
        });
        if questions.is_empty() {
            return Ok(());
        }
        if docket.has_given_up() {
            return Err(Error::PdpUnavailable(
                "it has not answered this request before".to_owned(),
            ));
        }
        let each = async {
            for some in questions.chunks(AT_ONCE) {
                self.answer_some(engine, keys, (docket, asker), some).await?;
            }
            Ok::<_, Error>(())
        };
        docket.resting(each).await?;
        Ok((self.standing)(permit, docket.request().machine_now)?)
    }

    /// Has something said to these, which are asked at once.
    async fn answer_some(
        &self,
        engine: &dyn Engine,
        keys: &DomainKeys,
        (docket, asker): (&Docket, &Asker),
        questions: &[Question],
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let asked = self.asked(engine, keys, (docket, asker), questions);
        let answers = tokio::time::timeout(self.time, asked).await.unwrap_or_else(|_| {
            Err(Error::PdpUnavailable(format!("it did not answer within {:?}", self.time)))
        });
        let answers = answers.inspect_err(|error| {
            if matches!(error, Error::PdpUnavailable(_)) {
                (self.on_decision)(Decided::Unanswered, Some(begun.elapsed()));
                docket.gives_up();
            }
        })?;
        let (came, taken) = (Instant::now(), begun.elapsed());
        for (question, answer) in questions.iter().zip(answers) {
            let Answer { is_permitted, id, reuse } = answer;
            let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into());
            let verdict = Verdict { is_permitted, id };
            (self.on_decision)(Decided::Asked(is_permitted), Some(taken));
            self.kept.keep((asker, keys.id(), question), &verdict, reuse, came);
            docket.says(question.clone(), verdict);
        }
        Ok(())
    }

    async fn asked(
        &self,
        engine: &dyn Engine,
        keys: &DomainKeys,
        (docket, asker): (&Docket, &Asker),
        questions: &[Question],
    ) -> Result<Vec<Answer>, Error> {
        let turn = self.turns.turn(keys.id()).await;
        let _turn = turn.map_err(|full| Error::PdpUnavailable(format!("{full} at it")))?;
        let of = provenances(engine, keys, docket, questions).await?;
        let questions: Vec<_> = questions.iter().cloned().zip(of).collect();
        let asked = ask(asker, keys.id(), docket.request(), &questions);
        let answered = self.point.evaluate(asked).await;
        let body = answered.map_err(|NobodyAnswers(why)| Error::PdpUnavailable(why))?;
        let answers = if questions.len() == 1 {
            Answer::read(&body).map(|answer| vec![answer])
        } else {
            Answer::read_all(&body, questions.len())
        };
        answers.map_err(|no| Error::PdpUnavailable(no.to_string()))
    }
}

/// What the store says of the secrets that are asked about. Of one whose header is damaged it says nothing:
/// it can be removed, and nothing else.
async fn provenances(
    engine: &dyn Engine,
    keys: &DomainKeys,
    docket: &Docket,
    questions: &[Question],
) -> Result<Vec<Option<Provenance>>, Error> {
    let names: Vec<_> = questions
        .iter()
        .map(|question| question.path.as_ref().map(|path| Header::key(keys.id(), path)))
        .collect();
    let parts: Vec<_> = names.iter().flatten().map(|key| Read::Key(header::SPACE, key)).collect();
    let mut found = engine.read(&parts).await?.into_iter();
    let mut provenances = Vec::with_capacity(questions.len());
    for key in &names {
        let Some(key) = key else {
            provenances.push(None);
            continue;
        };
        let header = match found.next().ok_or_else(missing)? {
            Ok(Some(found)) => open::<Header>(keys, key, &found.record.bytes).ok(),
            _ => None,
        };
        let header = header.filter(|header| !header.life.is_over(docket.request().now));
        provenances.push(header.map(|header| Provenance {
            owner: header.about.owner.as_deref().map(str::to_owned),
            created_by: header.created_by.as_deref().map(str::to_owned),
            created_at: Some(header.created_at.to_rfc3339_seconds().to_string()),
        }));
    }
    Ok(provenances)
}
