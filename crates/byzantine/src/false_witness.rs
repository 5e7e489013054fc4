use crate::Context;
use crate::dice::Dice;
use crate::recent::Recent;
use crate::seam::{resigned, to_one};
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::{Outbound, Traffic};
use std::collections::BTreeMap;

/// How far ahead the view of an invented vote is.
const AHEAD: u64 = 1000;
/// So many statements of a kind are remembered.
const KEPT: usize = 24;

/// Testifies falsely: accuses correct replicas with evidence of every kind that proves nothing, and tells those that come back
/// from their disks of votes that they never cast, and again what it told an earlier start.
pub fn outbound(context: &Context) -> Outbound {
    let dice = Dice::new(context.seed, 0);
    let (heard, bodies) = (BTreeMap::new(), Recent::new(KEPT));
    let mut witness = FalseWitness { context: context.clone(), dice, heard, bodies, told: BTreeMap::new() };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message, .. } => {
            witness.hear(message);
            Vec::new()
        }
        Traffic::Leaving { to, message } => to_one(to, witness.tell(to, *message)),
        other => other.unchanged(),
    })
}

struct FalseWitness {
    context: Context,
    dice: Dice,
    /// What others signed.
    heard: BTreeMap<StatementKind, Recent<Place, Statement>>,
    bodies: Recent<Digest, Blob>,
    /// The last answer to each replica's question.
    told: BTreeMap<ReplicaId, Witness>,
}

impl FalseWitness {
    fn hear(&mut self, message: &Message) {
        let statement = match message {
            Message::PrePrepare { header, body } => {
                self.bodies.get_or(header.digest, || body.clone());
                Statement::PrePrepare(header.clone())
            }
            Message::Prepare { prepare, .. } => Statement::Prepare(prepare.clone()),
            Message::Commit(commit) => Statement::Commit(commit.clone()),
            Message::ViewChange(change) => Statement::ViewChange(Box::new(change.clone())),
            Message::NewView(new_view) => Statement::NewView(Box::new(new_view.clone())),
            _ => return,
        };
        let place = statement.place();
        self.heard.entry(place.kind).or_insert_with(|| Recent::new(KEPT)).get_or(place, || statement);
    }

    fn tell(&mut self, to: ReplicaId, leaving: Message) -> Vec<Message> {
        match leaving {
            Message::Witness(witness) => {
                let witness = self.invented(to, *witness);
                // To another start it is a stale answer.
                let before = self.told.insert(to, witness.clone());
                [Some(witness), before].into_iter().flatten().map(|told| Message::Witness(Box::new(told))).collect()
            }
            Message::Status(status) => {
                let evidence = self.accusation().map(Message::Evidence);
                std::iter::once(Message::Status(status)).chain(evidence).collect()
            }
            other => vec![other],
        }
    }

    /// A vote that the receiver never cast, under its name; or another's that was cast, as if it were its own.
    fn invented(&mut self, to: ReplicaId, mut witness: Witness) -> Witness {
        let other = self.of(StatementKind::Commit).find_map(|(place, statement)| match statement {
            Statement::Commit(commit) if place.signer != to => Some(commit.clone()),
            _ => None,
        });
        witness.votes.commit = match (self.dice.below(3), other) {
            (0, other @ Some(_)) => other,
            (1, _) => witness.votes.commit,
            _ => {
                let (view, sequence) = (View(AHEAD), SequenceNumber(1));
                let vote = Commit { view, sequence, digest: NULL_DIGEST, replica: to };
                self.in_another_name(vote)
            }
        };
        witness
    }

    /// Its replica's words with this liar's signature.
    fn in_another_name<T: Body + Clone>(&self, words: T) -> Option<Signed<T>> {
        resigned(&words, self.context.signer.sign(words.clone()).signature())
    }

    fn of(&self, kind: StatementKind) -> impl Iterator<Item = (&Place, &Statement)> {
        self.heard.get(&kind).into_iter().flat_map(Recent::iter)
    }

    /// Something that one of the others said.
    fn something(&mut self, kind: StatementKind, matches: impl Fn(&Place) -> bool) -> Option<Statement> {
        let own = self.context.signer.replica();
        let known: Vec<Statement> =
            self.of(kind).filter(|(place, _)| place.signer != own && matches(place)).map(|(_, said)| said.clone()).collect();
        self.dice.one_of(&known).cloned()
    }

    fn accusation(&mut self) -> Option<Evidence> {
        use StatementKind as Kind;
        match self.dice.below(8) {
            0 => self.pair(Kind::PrePrepare),
            1 => self.pair(Kind::Prepare),
            2 => self.pair(Kind::Commit),
            3 => self.pair(Kind::ViewChange),
            4 => self.pair(Kind::NewView),
            5 => {
                // Of one replica, or of two.
                let Statement::Commit(commit) = self.something(Kind::Commit, |_| true)? else { return None };
                let signer = (self.dice.below(3) > 0).then_some(commit.replica);
                let change = self.something(Kind::ViewChange, |place| signer.is_none_or(|signer| signer == place.signer))?;
                let Statement::ViewChange(change) = change else { return None };
                Some(Evidence::HiddenPrepared(commit, change))
            }
            6 => {
                let Statement::PrePrepare(header) = self.something(Kind::PrePrepare, |_| true)? else { return None };
                let body = match self.dice.below(2) {
                    0 => self.bodies.get(&header.digest)?.clone(),
                    _ => Blob::from(b"no batch at all".as_slice()),
                };
                Some(Evidence::InvalidBatch(header, body))
            }
            _ => match self.something(Kind::NewView, |_| true)? {
                Statement::NewView(new_view) => Some(Evidence::FalseNewView(new_view)),
                _ => None,
            },
        }
    }

    /// One statement twice, two of one replica that stand at different places, or one beside an invented one in the same name.
    fn pair(&mut self, kind: StatementKind) -> Option<Evidence> {
        let first = self.something(kind, |_| true)?;
        let place = first.place();
        let second = match self.dice.below(3) {
            0 => first.clone(),
            1 => self.something(kind, |other| other.signer == place.signer && *other != place)?,
            _ => self.altered(&first)?,
        };
        Some(match (first, second) {
            (Statement::PrePrepare(a), Statement::PrePrepare(b)) => Evidence::PrePrepares(a, b),
            (Statement::Prepare(a), Statement::Prepare(b)) => Evidence::Prepares(a, b),
            (Statement::Commit(a), Statement::Commit(b)) => Evidence::Commits(a, b),
            (Statement::ViewChange(a), Statement::ViewChange(b)) => Evidence::ViewChanges(Box::new((*a, *b))),
            (Statement::NewView(a), Statement::NewView(b)) => Evidence::NewViews(Box::new((*a, *b))),
            _ => return None,
        })
    }

    fn altered(&self, statement: &Statement) -> Option<Statement> {
        match statement {
            Statement::PrePrepare(said) => {
                self.in_another_name(PrePrepare { digest: NULL_DIGEST, ..**said }).map(Statement::PrePrepare)
            }
            Statement::Prepare(said) => self.in_another_name(Prepare { digest: NULL_DIGEST, ..**said }).map(Statement::Prepare),
            Statement::Commit(said) => self.in_another_name(Commit { digest: NULL_DIGEST, ..**said }).map(Statement::Commit),
            Statement::ViewChange(said) => {
                let other = ViewChange { stable: None, prepared: Vec::new(), ..(***said).clone() };
                self.in_another_name(other).map(|said| Statement::ViewChange(Box::new(said)))
            }
            Statement::NewView(said) => {
                let other = NewView { pre_prepares: Vec::new(), ..(***said).clone() };
                self.in_another_name(other).map(|said| Statement::NewView(Box::new(said)))
            }
            Statement::Checkpoint(_) => None,
        }
    }
}
