//! The contracts of a worker, shared by its transforms and its REST interface.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::batch::SpareFound;
use crate::contract::{Contract, State};
use crate::document::Problem;
use crate::meta::MetaFields;
use crate::program::Program;
use crate::{ContractRef, load};

/// Programs kept at the same time; an estate with more of them compiles some for each transform.
const PROGRAMS: usize = 4096;

/// A set of contracts by reference. Transforms look a contract up when they meet it and keep what
/// they compiled from it until [`Contracts::generation`] changes.
#[derive(Debug, Default)]
pub struct Contracts {
    by_ref: RwLock<BTreeMap<String, Arc<Contract>>>,
    generation: AtomicU64,
    programs: Programs,
    /// Buffers that the transforms of these contracts pass round.
    pub(crate) spare: SpareFound,
}

/// A contract's ref, and the uid of the schema of its events.
type ProgramKey = (String, Option<u64>);

/// What transforms compiled, for others that handle the same events and name their meta fields alike.
#[derive(Default)]
struct Programs(Mutex<HashMap<ProgramKey, (MetaFields, Arc<Program>)>>);

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").finish_non_exhaustive()
    }
}

/// A change that a contract's state forbids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Its rules are settled.
    #[error(
        "contract {reference} is {state}, and from APPROVED on only its state may change; give the changed one a new version"
    )]
    Frozen {
        /// The contract.
        reference: ContractRef,
        /// Its state.
        state: State,
    },
    /// Its state does not go back.
    #[error("contract {reference} is {from} and cannot become {to}")]
    State {
        /// The contract.
        reference: ContractRef,
        /// Its state.
        from: State,
        /// The state asked for.
        to: State,
    },
}

impl Contracts {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_ref
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Every contract below a directory, whose files are `handle/name/x.y.z.json`.
    pub fn load_dir(dir: &Path) -> Result<Self, Vec<Problem>> {
        let contracts = load::read_dir(dir)?;
        let by_ref = contracts
            .into_iter()
            .map(|contract| (contract.reference.as_str().to_owned(), Arc::new(contract)))
            .collect();
        Ok(Self {
            by_ref: RwLock::new(by_ref),
            ..Self::default()
        })
    }

    /// The contract with this reference.
    pub fn get(&self, reference: &str) -> Option<Arc<Contract>> {
        let by_ref = self.by_ref.read().unwrap_or_else(PoisonError::into_inner);
        by_ref.get(reference).cloned()
    }

    /// All contracts, ordered by reference.
    pub fn list(&self) -> Vec<Arc<Contract>> {
        let by_ref = self.by_ref.read().unwrap_or_else(PoisonError::into_inner);
        by_ref.values().cloned().collect()
    }

    /// Whether [`put`](Self::put) would take this contract now.
    pub fn check(&self, contract: &Contract) -> Result<(), ChangeError> {
        match self.get(contract.reference.as_str()) {
            Some(current) => allowed(&current, contract),
            None => Ok(()),
        }
    }

    /// Adds a contract, or replaces the one of the same reference as far as its state allows.
    pub fn put(&self, contract: Contract) -> Result<Arc<Contract>, ChangeError> {
        let mut by_ref = self.by_ref.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = by_ref.get(contract.reference.as_str()) {
            allowed(current, &contract)?;
        }
        let contract = Arc::new(contract);
        by_ref.insert(contract.reference.as_str().to_owned(), contract.clone());
        // Release pairs with the acquire in `generation`: who sees the new number sees the contract.
        self.generation.fetch_add(1, Ordering::Release);
        Ok(contract)
    }

    /// Takes a contract out. Events that name it are refused from then on, and what was encrypted
    /// under it is no longer routed.
    pub fn remove(&self, reference: &str) -> Option<Arc<Contract>> {
        let mut by_ref = self.by_ref.write().unwrap_or_else(PoisonError::into_inner);
        let removed = by_ref.remove(reference);
        self.generation.fetch_add(1, Ordering::Release);
        removed
    }

    /// The program of a contract for a schema: the one that was compiled before from the same contract
    /// with the same meta fields, or what `compile` makes.
    pub(crate) fn program(
        &self,
        contract: &Arc<Contract>,
        schema: Option<u64>,
        meta: &MetaFields,
        compile: impl FnOnce() -> Result<Arc<Program>, String>,
    ) -> Result<Arc<Program>, String> {
        let mut programs = self
            .programs
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (contract.reference.as_str().to_owned(), schema);
        if let Some((known, program)) = programs.get(&key)
            && known == meta
            && program
                .contract
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(known, contract))
        {
            return Ok(program.clone());
        }
        let program = compile()?;
        if programs.len() >= PROGRAMS {
            programs.clear();
        }
        programs.insert(key, (meta.clone(), program.clone()));
        Ok(program)
    }

    /// A number that changes with every change of the set.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

fn allowed(current: &Contract, new: &Contract) -> Result<(), ChangeError> {
    if !current.state.is_frozen() {
        return Ok(());
    }
    if new.state < current.state {
        return Err(ChangeError::State {
            reference: current.reference.clone(),
            from: current.state,
            to: new.state,
        });
    }
    let same = Contract {
        state: current.state,
        ..new.clone()
    };
    if same != *current {
        return Err(ChangeError::Frozen {
            reference: current.reference.clone(),
            state: current.state,
        });
    }
    Ok(())
}
