//! The service: each call finds its model, asks it, and is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use ml_core::Priority;
use tonic::{Request, Response, Status, Streaming};

use super::counted::Counted;
use super::proto::grpc_inference_service_server::GrpcInferenceService;
use super::proto::model_repository_parameter::ParameterChoice as ConfigChoice;
use super::proto::repository_index_response::ModelIndex;
use super::proto::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse, CudaSharedMemoryStatusRequest,
    CudaSharedMemoryStatusResponse, CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse,
    LogSettingsRequest, LogSettingsResponse, ModelConfigRequest, ModelConfigResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse, SystemSharedMemoryStatusRequest,
    SystemSharedMemoryStatusResponse, SystemSharedMemoryUnregisterRequest,
    SystemSharedMemoryUnregisterResponse, TraceSettingRequest, TraceSettingResponse,
};
use super::{answer, deadline, describe, request, settings, stream};
use crate::ApiError;
use crate::oip::describe::ServerMetadata;
use crate::oip::infer::{self, Usual};
use crate::oip::models::{self, Named};
use crate::oip::regions::{Registered, no_cuda};
use crate::oip::{Refusal, repository};
use crate::state::{Model, State};

/// The protocol's service.
#[derive(Clone)]
pub(super) struct Service {
    pub state: Arc<State>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// Answers a call that only asks.
    fn asked<T>(&self, route: &'static str, answer: impl FnOnce() -> Result<T, Refusal>) -> Answer<T> {
        let mut counted = Counted::enter(&self.state, route);
        Ok(Response::new(counted.ended(answer())?))
    }

    /// Predicts tensors.
    pub async fn infer(
        &self,
        message: ModelInferRequest,
        deadline: Option<Instant>,
    ) -> Result<ModelInferResponse, Refusal> {
        let mut counted = Counted::admit(&self.state, "grpc ModelInfer")?;
        counted.ended(self.predict(message, deadline).await)
    }

    async fn predict(
        &self,
        mut message: ModelInferRequest,
        deadline: Option<Instant>,
    ) -> Result<ModelInferResponse, Refusal> {
        let found =
            Named::new(std::mem::take(&mut message.model_name), &message.model_version).of(&self.state)?;
        let (model, contract) = found.parts()?;
        message.model_name = contract.name.to_owned();
        let asked = request::read(message)?;
        let id = asked.id.clone();
        let usual = Usual { deadline, priority: Priority::Interactive };
        let inferring = Box::pin(infer::infer(&self.state, (model, contract), asked, usual));
        let (outputs, _) = inferring.await?;
        Ok(answer::write(contract, id, outputs))
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
        self.asked("grpc ServerLive", || Ok(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
        let mut counted = Counted::enter(&self.state, "grpc ServerReady");
        let ready = models::all_ready(&self.state).await.is_ok();
        Ok(Response::new(counted.ended(Ok(ServerReadyResponse { ready }))?))
    }

    /// An unknown model is not ready, which is no error: clients ask so after they have unloaded one.
    async fn model_ready(&self, asked: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        let mut counted = Counted::enter(&self.state, "grpc ModelReady");
        let ModelReadyRequest { name, version } = asked.into_inner();
        let named = Named::new(name, &version);
        let ready = match named.of(&self.state) {
            Ok(found) => found.ready(&self.state).await.is_ok(),
            Err(_) => false,
        };
        Ok(Response::new(counted.ended(Ok(ModelReadyResponse { ready }))?))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Answer<ServerMetadataResponse> {
        self.asked("grpc ServerMetadata", || {
            let ServerMetadata { name, version, extensions } = ServerMetadata::of(&self.state.name);
            let extensions = extensions.into_iter().map(str::to_owned).collect();
            Ok(ServerMetadataResponse { name: name.to_owned(), version: version.to_owned(), extensions })
        })
    }

    async fn model_metadata(&self, asked: Request<ModelMetadataRequest>) -> Answer<ModelMetadataResponse> {
        let ModelMetadataRequest { name, version } = asked.into_inner();
        let named = Named::new(name, &version);
        self.asked("grpc ModelMetadata", || {
            let found = named.of(&self.state)?;
            Ok(describe::metadata(found.parts()?.1, named.versions(&self.state)))
        })
    }

    async fn model_config(&self, asked: Request<ModelConfigRequest>) -> Answer<ModelConfigResponse> {
        let ModelConfigRequest { name, version } = asked.into_inner();
        let named = Named::new(name, &version);
        self.asked("grpc ModelConfig", || {
            let found = named.of(&self.state)?;
            let (_, contract) = found.parts()?;
            Ok(ModelConfigResponse { config: Some(contract.pipeline.settled().config.clone()) })
        })
    }

    async fn model_statistics(
        &self,
        asked: Request<ModelStatisticsRequest>,
    ) -> Answer<ModelStatisticsResponse> {
        let ModelStatisticsRequest { name, version } = asked.into_inner();
        self.asked("grpc ModelStatistics", || {
            let of_all = || {
                let models = self.state.models.all();
                let of_model = |model: &Arc<Model>| {
                    Some(describe::statistics(&model.name, model.version, model.served.tensors()?))
                };
                models.iter().filter_map(of_model).collect()
            };
            if name.is_empty() {
                return Ok(ModelStatisticsResponse { model_stats: of_all() });
            }
            let found = Named::new(name, &version).of(&self.state)?;
            let (model, contract) = found.parts()?;
            let statistics = describe::statistics(contract.name, contract.version, model);
            Ok(ModelStatisticsResponse { model_stats: vec![statistics] })
        })
    }

    async fn repository_index(
        &self,
        asked: Request<RepositoryIndexRequest>,
    ) -> Answer<RepositoryIndexResponse> {
        self.asked("grpc RepositoryIndex", || {
            let listed = repository::index(&self.state, asked.get_ref().ready).into_iter();
            let models = listed.map(|listed| ModelIndex {
                name: listed.name,
                version: listed.version.unwrap_or_default(),
                state: listed.state.unwrap_or_default().to_owned(),
                reason: listed.reason.unwrap_or_default(),
            });
            Ok(RepositoryIndexResponse { models: models.collect() })
        })
    }

    async fn repository_model_load(
        &self,
        asked: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        let mut counted = Counted::enter(&self.state, "grpc RepositoryModelLoad");
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } = asked.into_inner();
        // KServe's clients have the name where Triton's have the repository's.
        let name = if model_name.is_empty() { repository_name } else { model_name };
        let state = Arc::clone(&self.state);
        let loaded = tokio::task::spawn_blocking(move || {
            if parameters.keys().any(|key| key.starts_with("file:")) {
                return Err(repository::no_files());
            }
            let config =
                parameters.into_iter().find_map(|(key, parameter)| match parameter.parameter_choice {
                    Some(ConfigChoice::StringParam(config)) if key == "config" => Some(config),
                    _ => None,
                });
            repository::load(&state, &name, &repository::Asked { config })
        });
        let broken =
            |error: tokio::task::JoinError| Refusal(ApiError::NotReady { reason: error.to_string() });
        counted.ended(loaded.await.map_err(broken).flatten())?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        asked: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        let RepositoryModelUnloadRequest { repository_name, model_name, .. } = asked.into_inner();
        let name = if model_name.is_empty() { repository_name } else { model_name };
        self.asked("grpc RepositoryModelUnload", || {
            repository::unload(&self.state, &name)?;
            Ok(RepositoryModelUnloadResponse {})
        })
    }

    async fn model_infer(&self, asked: Request<ModelInferRequest>) -> Answer<ModelInferResponse> {
        let deadline = deadline::of(&asked, self.state.limits.request_timeout);
        Ok(Response::new(self.infer(asked.into_inner(), deadline).await?))
    }

    async fn system_shared_memory_status(
        &self,
        asked: Request<SystemSharedMemoryStatusRequest>,
    ) -> Answer<SystemSharedMemoryStatusResponse> {
        let SystemSharedMemoryStatusRequest { name } = asked.into_inner();
        self.asked("grpc SystemSharedMemoryStatus", || {
            let regions = self.state.regions.status((!name.is_empty()).then_some(&*name))?;
            Ok(SystemSharedMemoryStatusResponse { regions: settings::regions(regions) })
        })
    }

    async fn system_shared_memory_register(
        &self,
        asked: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Answer<SystemSharedMemoryRegisterResponse> {
        let SystemSharedMemoryRegisterRequest { name, key, offset, byte_size } = asked.into_inner();
        self.asked("grpc SystemSharedMemoryRegister", || {
            self.state.regions.register(Registered { name, key, offset, byte_size })?;
            Ok(SystemSharedMemoryRegisterResponse {})
        })
    }

    async fn system_shared_memory_unregister(
        &self,
        asked: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Answer<SystemSharedMemoryUnregisterResponse> {
        let SystemSharedMemoryUnregisterRequest { name } = asked.into_inner();
        self.asked("grpc SystemSharedMemoryUnregister", || {
            self.state.regions.unregister((!name.is_empty()).then_some(&*name));
            Ok(SystemSharedMemoryUnregisterResponse {})
        })
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Answer<CudaSharedMemoryStatusResponse> {
        self.asked("grpc CudaSharedMemoryStatus", || Ok(CudaSharedMemoryStatusResponse::default()))
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Answer<CudaSharedMemoryRegisterResponse> {
        self.asked("grpc CudaSharedMemoryRegister", || Err(no_cuda()))
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Answer<CudaSharedMemoryUnregisterResponse> {
        self.asked("grpc CudaSharedMemoryUnregister", || Ok(CudaSharedMemoryUnregisterResponse {}))
    }

    async fn trace_setting(&self, asked: Request<TraceSettingRequest>) -> Answer<TraceSettingResponse> {
        self.asked("grpc TraceSetting", || settings::trace(&self.state, asked.into_inner()))
    }

    async fn log_settings(&self, asked: Request<LogSettingsRequest>) -> Answer<LogSettingsResponse> {
        self.asked("grpc LogSettings", || settings::log(&self.state, asked.into_inner()))
    }

    type ModelStreamInferStream =
        Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        asked: Request<Streaming<ModelInferRequest>>,
    ) -> Answer<Self::ModelStreamInferStream> {
        Ok(Response::new(Box::pin(stream::answers(self.clone(), asked))))
    }
}
