//! What follows for a pod from what is known of it: the goals of its units, a question to the API server, and what is told.

use std::sync::Arc;

use meshward_mesh::Phase;

use super::super::aim::{Aim, Goal, is_idle};
use super::super::desired::Desired;
use super::super::record::{self, Known};
use super::sandboxes::Sandbox;
use super::{Ask, Index, LONG_WAIT, Order, Pod, UnitKey};
use crate::located::Located;

impl Index {
    /// Brings the goals of a pod's units, and what is told of it, up to date.
    pub(super) fn settle(&mut self, key: &str, orders: &mut Vec<Order>) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        let sandboxes = self.sandboxes.of(key);
        if sandboxes.is_empty() && (pod.deleted || pod.view.is_none()) {
            self.pods.remove(key);
            orders.push(Order::Forget { key: key.to_string() });
            self.end_units(key, &[], orders);
            return;
        }
        let unknown = matches!(pod.desired, None | Some(Desired::Unknown));
        let asking = sandboxes.iter().find(|(_, sandbox)| sandbox.started && sandbox.recorded.is_none());
        if unknown
            && pod.view.is_none()
            && !pod.fetching
            && (pod.trouble.is_none() || pod.ask_again)
            && let Some((_, sandbox)) = asking
        {
            (pod.fetching, pod.ask_again) = (true, false);
            let Located { namespace, name, uid, .. } = &*sandbox.located;
            let ask = Ask { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() };
            orders.push(Order::Fetch(ask));
        }
        let goals: Vec<(String, Goal)> = sandboxes
            .iter()
            .map(|(id, sandbox)| {
                let goal = Goal {
                    number: 0,
                    aim: if self.excluded.contains(&sandbox.located.namespace) {
                        Aim::Leave
                    } else {
                        aim(pod, sandbox)
                    },
                    facts: pod.facts.clone(),
                    located: Arc::clone(&sandbox.located),
                    early: sandbox.early,
                };
                ((*id).clone(), goal)
            })
            .collect();
        let ids: Vec<String> = goals.iter().map(|(id, _)| id.clone()).collect();
        for (id, goal) in goals {
            self.pursue(UnitKey { pod: key.to_string(), sandbox: id }, goal, orders);
        }
        self.end_units(key, &ids, orders);
        self.tell(key, orders);
    }

    fn pursue(&mut self, unit: UnitKey, mut goal: Goal, orders: &mut Vec<Order>) {
        match self.units.get_mut(&unit) {
            None if is_idle(&goal.aim) => {}
            None => {
                self.numbers += 1;
                goal.number = self.numbers;
                self.units.insert(unit.clone(), (goal.clone(), None));
                orders.push(Order::Begin(unit, goal));
            }
            Some((now, _)) => {
                goal.number = now.number;
                if *now == goal {
                    return;
                }
                if now.aim != goal.aim || now.located.netns != goal.located.netns {
                    self.numbers += 1;
                    goal.number = self.numbers;
                }
                *now = goal.clone();
                orders.push(Order::Pursue(unit, goal));
            }
        }
    }

    fn end_units(&mut self, key: &str, keep: &[String], orders: &mut Vec<Order>) {
        let first = UnitKey { pod: key.to_string(), sandbox: String::new() };
        let over: Vec<UnitKey> = self
            .units
            .range(first..)
            .map(|(unit, _)| unit)
            .take_while(|unit| unit.pod == key)
            .filter(|unit| !keep.contains(&unit.sandbox))
            .cloned()
            .collect();
        for unit in over {
            self.units.remove(&unit);
            orders.push(Order::End(unit));
        }
    }

    fn tell(&mut self, key: &str, orders: &mut Vec<Order>) {
        let Some(pod) = self.pods.get(key) else { return };
        let unknown = Desired::Unknown;
        let state = |id: &str| {
            let unit = UnitKey { pod: key.to_string(), sandbox: id.to_string() };
            self.units.get(&unit).and_then(|(_, state)| state.as_ref())
        };
        let sandboxes = self.sandboxes.of(key);
        let recorded = sandboxes.iter().find_map(|(_, sandbox)| sandbox.recorded.as_ref());
        let desired = pod.desired.as_ref().or(recorded).unwrap_or(&unknown);
        // Of several sandboxes the one that is worst off is told; the last of equals.
        let told = sandboxes
            .iter()
            .map(|(id, sandbox)| Known {
                view: pod.view.as_ref(),
                desired,
                facts: &pod.facts,
                sandbox: Some((&*sandbox.located, state(id))),
                trouble: pod.trouble.as_deref(),
            })
            .filter_map(record::of)
            .max_by_key(|record| record::gravity(record.phase));
        let nowhere = Known {
            view: pod.view.as_ref(),
            desired,
            facts: &pod.facts,
            sandbox: None,
            trouble: pod.trouble.as_deref(),
        };
        let told = if sandboxes.is_empty() { record::of(nowhere) } else { told };
        let waits = told.as_ref().is_some_and(|record| record.phase == Phase::Waiting);
        let announce = pod.view.is_some() && !pod.deleted && (!waits || pod.waiting >= LONG_WAIT);
        match (told, &pod.told) {
            (Some(record), Some((known, announced))) if **known == record && *announced == announce => {}
            (Some(record), _) => {
                let record = Arc::new(record);
                let told = Some((Arc::clone(&record), announce));
                self.pods.get_mut(key).into_iter().for_each(|pod| pod.told.clone_from(&told));
                orders.push(Order::Tell { key: key.to_string(), record, announce });
            }
            (None, Some(_)) => {
                self.pods.get_mut(key).into_iter().for_each(|pod| pod.told = None);
                orders.push(Order::Forget { key: key.to_string() });
            }
            (None, None) => {}
        }
    }
}

fn aim(pod: &Pod, sandbox: &Sandbox) -> Aim {
    let desired = match &pod.desired {
        None | Some(Desired::Unknown) => sandbox.recorded.as_ref().unwrap_or(&Desired::Unknown),
        Some(desired) => desired,
    };
    match desired {
        // Whoever runs already is left as it is until more is known.
        Desired::Unknown if !sandbox.started => Aim::Leave,
        Desired::Unknown => Aim::Wait {
            reason: pod.trouble.clone().unwrap_or_else(|| "the API server has not shown this pod yet".into()),
        },
        Desired::Untouched { .. } => Aim::Leave,
        Desired::Rules(wish) => Aim::Rules(Arc::clone(wish)),
        Desired::Refused { message } => Aim::Refused { message: message.clone() },
        Desired::Nothing { reason, mesh } => Aim::Nothing {
            reason: reason.clone(),
            gate: mesh.is_some() || pod.facts.guarded,
            clear: mesh.is_some(),
        },
    }
}
