//! Which service is built from what: the only place that knows all five.
use anyhow::bail;
use copydesk_agent_orchestrator as agent_orchestrator;
use copydesk_gateway as gateway;
use copydesk_learning as learning;
use copydesk_llm_router as llm_router;
use copydesk_retrieval as retrieval;
use copydesk_rpc::{AccessTable, Channel, ReadyCheck, Service, reflection};
use copydesk_runtime::Health;
use tonic::service::Routes;

use super::{Built, Parts, Served};

/// All services in this process, bottom-up by rank.
pub(super) async fn all(parts: &Parts<'_>) -> anyhow::Result<Served> {
    let service = llm_router(parts).await?;
    let mut built = vec![parts.wrap(service, |routes| routes)?];
    let llm_router = parts.local(&built[0], llm_router::NAME);

    let service = retrieval(parts, llm_router.clone()).await?;
    built.push(parts.wrap(service, |routes| routes)?);
    let retrieval = parts.local(&built[1], retrieval::NAME);

    let service = learning(parts, retrieval.clone()).await?;
    built.push(parts.wrap(service, |routes| routes)?);
    let learning = parts.local(&built[2], learning::NAME);

    let service = agent_orchestrator(parts, llm_router.clone(), retrieval.clone(), learning.clone()).await?;
    built.push(parts.wrap(service, |routes| routes)?);
    let agent_orchestrator = parts.local(&built[3], agent_orchestrator::NAME);

    let peers = gateway::Peers { llm_router, retrieval, learning, agent_orchestrator };
    door(parts, peers, built).await
}

/// One service of the mesh; its peers are where the configuration says.
pub(super) async fn one(parts: &Parts<'_>, name: &'static str) -> anyhow::Result<Served> {
    let llm = || parts.remote(llm_router::NAME);
    let library = || parts.remote(retrieval::NAME);
    let archive = || parts.remote(learning::NAME);
    let service = match name {
        llm_router::NAME => llm_router(parts).await?,
        retrieval::NAME => retrieval(parts, llm()?).await?,
        learning::NAME => learning(parts, library()?).await?,
        agent_orchestrator::NAME => agent_orchestrator(parts, llm()?, library()?, archive()?).await?,
        gateway::NAME => {
            let agent_orchestrator = parts.remote(agent_orchestrator::NAME)?;
            let peers = gateway::Peers {
                llm_router: llm()?,
                retrieval: library()?,
                learning: archive()?,
                agent_orchestrator,
            };
            return door(parts, peers, Vec::new()).await;
        }
        _ => bail!("there is no service `{name}`"),
    };
    let checks: Vec<(&'static str, ReadyCheck)> =
        service.ready.iter().map(|check| (name, check.clone())).collect();
    let (health, server) = Health::new(service.grpc_services.clone(), checks);
    let built = parts.wrap(service, |routes| routes.add_service(server))?;
    Ok(Served { stack: built.stack, tasks: vec![built.tasks], health, gateway: None })
}

/// The gateway over its peers; `below` are those that run in this process.
async fn door(parts: &Parts<'_>, peers: gateway::Peers, below: Vec<Built>) -> anyhow::Result<Served> {
    let context = parts.context(gateway::NAME)?;
    let config = parts.config.gateway.clone();
    let mut gateway = gateway::build(config, &parts.database(gateway::NAME), context, peers).await?;
    let (descriptors, names) = reflection::public_only(copydesk_proto::FILE_DESCRIPTOR_SET, &parts.access)?;
    let public = AccessTable::from_descriptors(&descriptors)?;

    let mut checks: Vec<(&'static str, ReadyCheck)> = Vec::new();
    let mut tasks = Vec::new();
    for built in below {
        checks.extend(built.ready);
        tasks.push(built.tasks);
    }
    checks.extend(gateway.service.ready.take().map(|check| (gateway::NAME, check)));
    tasks.push(std::mem::take(&mut gateway.service.tasks));
    let names: Vec<&'static str> = public_names(&names);
    let (health, server) = Health::new(names.clone(), checks);
    let routes: Routes = std::mem::take(&mut gateway.service.routes).add_service(server);
    let routes = reflection::add(routes, &names, &descriptors)?;
    let stack = gateway.stack(routes, public, parts.metrics(gateway::NAME));
    Ok(Served { stack, tasks, health, gateway: Some(gateway) })
}

/// Health wants names that live as long as the program; they are made once.
fn public_names(names: &[String]) -> Vec<&'static str> {
    names.iter().map(|name| -> &'static str { Box::leak(name.clone().into_boxed_str()) }).collect()
}

async fn llm_router(parts: &Parts<'_>) -> anyhow::Result<Service> {
    let name = llm_router::NAME;
    let config = parts.config.llm_router.clone();
    let (database, context, updates) = (parts.database(name), parts.context(name)?, parts.updates.clone());
    Ok(llm_router::build(config, &database, context, llm_router::Peers {}, updates).await?)
}

async fn retrieval(parts: &Parts<'_>, llm_router: Channel) -> anyhow::Result<Service> {
    let (name, config) = (retrieval::NAME, parts.config.retrieval.clone());
    let peers = retrieval::Peers { llm_router };
    Ok(retrieval::build(config, &parts.database(name), parts.context(name)?, peers).await?)
}

async fn learning(parts: &Parts<'_>, retrieval: Channel) -> anyhow::Result<Service> {
    let (name, config) = (learning::NAME, parts.config.learning.clone());
    let peers = learning::Peers { retrieval };
    Ok(learning::build(config, &parts.database(name), parts.context(name)?, peers).await?)
}

async fn agent_orchestrator(
    parts: &Parts<'_>,
    llm_router: Channel,
    retrieval: Channel,
    learning: Channel,
) -> anyhow::Result<Service> {
    let (name, config) = (agent_orchestrator::NAME, parts.config.agent_orchestrator.clone());
    let peers = agent_orchestrator::Peers { llm_router, retrieval, learning };
    Ok(agent_orchestrator::build(config, &parts.database(name), parts.context(name)?, peers).await?)
}
