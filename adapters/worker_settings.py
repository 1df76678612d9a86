"""The settings of workers and of the health pages. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings


class WorkerSettings(BaseSettings):
    deployment_name: str = Field(
        default="ordersaga", min_length=1, description="under which Temporal knows the versions of the workers"
    )
    build_id: str = Field(
        default="", description="this worker's version of the code, e.g. a commit; empty turns versioning off"
    )

    worker_max_concurrent_activities: int = Field(default=50, ge=1, description="per worker process")
    worker_max_concurrent_local_activities: int = Field(default=50, ge=1, description="per worker process")
    worker_max_concurrent_workflow_tasks: int = Field(default=50, ge=2, description="per worker process")
    worker_max_cached_workflows: int = Field(default=500, ge=0, description="orders kept in memory")
    worker_shutdown_grace: float = Field(
        default=10.0, ge=0, description="seconds that running activities get to finish after SIGTERM"
    )

    worker_hung_after: timedelta = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="how long an attempt may outlast its time before the worker counts as hung",
    )
    worker_health_host: str = Field(
        default="127.0.0.1",
        description="where the worker's health page listens, and where `ordersaga doctor` looks for it",
    )
    worker_health_port: int = Field(
        default=0, ge=0, le=65535, description="of the worker's `/healthz` and `/readyz`, one per process; 0 is off"
    )
    relay_health_host: str = Field(default="127.0.0.1", description="likewise of the relay")
    relay_health_port: int = Field(default=0, ge=0, le=65535, description="likewise of the relay; 0 is off")
