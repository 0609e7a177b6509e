"""The composition root: the one place that builds clients and puts the parts together."""

from engine.bootstrap.assembly import EngineParts, TaskParts, assemble_engine, engine_policy
from engine.bootstrap.building import build
from engine.bootstrap.databases import open_database
from engine.bootstrap.kefu import Kefu
from engine.bootstrap.services import (
    build_models,
    build_pictures,
    build_services,
    build_vision,
    picture_limits,
    picture_store,
    provider_configs,
    vision_config,
)
from engine.knowledge import SAMPLES, Knowledge, build_knowledge, import_samples

__all__ = [
    "SAMPLES",
    "EngineParts",
    "Kefu",
    "Knowledge",
    "TaskParts",
    "assemble_engine",
    "build",
    "build_knowledge",
    "build_models",
    "build_pictures",
    "build_services",
    "build_vision",
    "engine_policy",
    "import_samples",
    "open_database",
    "picture_limits",
    "picture_store",
    "provider_configs",
    "vision_config",
]
