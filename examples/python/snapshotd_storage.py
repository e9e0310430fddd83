"""sagaz's SnapshotStorage over HTTP. Standard library only.

Copy this file next to your code and swap one line:

    storage = FilesystemSnapshotStorage("./saga-snapshots")
    storage = SnapshotdStorage("http://127.0.0.1:7420", token=os.environ.get("SNAPSHOTD_TOKEN"))

It takes and returns sagaz's own SagaSnapshot and ReplayResult. Without sagaz it brings classes with the same
attributes, so runtimes of your own can use it, too.

What differs from the library:
- A snapshot never changes. Saving the same again is a no-op; saving other content under its id raises
  SnapshotCaptureError, where the library overwrites.
- A replay in a final state (success, failed, cancelled) stays there.
- Times without an offset are taken as UTC.
- With a token a replay is initiated by its caller. sagaz's default, "system", is left out for that; any other name than
  the caller's own needs the scope admin. The token needs read, write and replay, and delete or admin for what they do.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen
from uuid import UUID

try:
    from sagaz.core.replay import ReplayResult, ReplayStatus, SagaSnapshot, SnapshotCaptureError

    try:
        from sagaz.core.storage.interfaces.snapshot import SnapshotStorage
    except ImportError:  # where older releases keep it
        from sagaz.storage.interfaces.snapshot import SnapshotStorage
except ImportError:

    class SnapshotStorage:
        pass

    class SnapshotCaptureError(Exception):
        pass

    class ReplayStatus(str, Enum):
        PENDING = "pending"
        RUNNING = "running"
        SUCCESS = "success"
        FAILED = "failed"
        CANCELLED = "cancelled"

    @dataclass
    class SagaSnapshot:
        snapshot_id: UUID
        saga_id: UUID
        saga_name: str
        step_name: str
        step_index: int
        status: str
        context: dict[str, Any]
        completed_steps: list[str]
        created_at: datetime
        retention_until: datetime | None = None
        external_refs: dict[str, str] = field(default_factory=dict)

    @dataclass
    class ReplayResult:
        replay_id: UUID
        original_saga_id: UUID
        new_saga_id: UUID
        checkpoint_step: str
        replay_status: ReplayStatus
        initiated_by: str = "system"
        context_override: dict[str, Any] | None = None
        error_message: str | None = None
        created_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
        completed_at: datetime | None = None


class SnapshotdError(Exception):
    """An answer that is not a success. `code` is the stable word for programs."""

    def __init__(self, status: int, problem: dict[str, Any]):
        self.status = status
        self.code = problem.get("code", "")
        self.request_id = problem.get("request_id", "")
        self.errors = problem.get("errors", [])
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")


class SnapshotdStorage(SnapshotStorage):
    """Keeps snapshots and replay logs in a snapshotd.

    Every request is safe to repeat, so one that got no answer, a 429 or a 503 is tried again, `tries` times in all.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:7420", *, token: str | None = None, tries: int = 5, timeout: float = 35
    ):
        self._url = url.rstrip("/")
        self._token = token
        self._tries = tries
        self._timeout = timeout

    async def save_snapshot(self, snapshot: SagaSnapshot) -> None:
        body = {
            "saga_id": str(snapshot.saga_id),
            "saga_name": snapshot.saga_name,
            "step_name": snapshot.step_name,
            "step_index": snapshot.step_index,
            "status": _value(snapshot.status),
            "context": snapshot.context,
            "completed_steps": snapshot.completed_steps,
            "external_refs": snapshot.external_refs,
            "created_at": _spell(snapshot.created_at),
            "retention_until": _spell(snapshot.retention_until),
        }
        try:
            await self._request("PUT", f"/v1/snapshots/{snapshot.snapshot_id}", body=body)
        except (SnapshotdError, OSError, HTTPException, TypeError, ValueError) as error:
            raise SnapshotCaptureError(f"snapshot {snapshot.snapshot_id}: {error}") from error

    async def get_snapshot(self, snapshot_id: UUID) -> SagaSnapshot | None:
        return _snapshot(await self._find(f"/v1/snapshots/{snapshot_id}"))

    async def get_latest_snapshot(self, saga_id: UUID, before_step: str | None = None) -> SagaSnapshot | None:
        """The newest snapshot; with before_step the newest one of that step, as sagaz's own storages have it."""
        query = {} if before_step is None else {"step_name": before_step}
        return _snapshot(await self._find(f"/v1/sagas/{saga_id}/snapshots/latest", query))

    async def get_snapshot_at_time(self, saga_id: UUID, timestamp: datetime) -> SagaSnapshot | None:
        return _snapshot(await self._find(f"/v1/sagas/{saga_id}/snapshots/latest", {"at": _spell(timestamp)}))

    async def list_snapshots(self, saga_id: UUID, limit: int = 100) -> list[SagaSnapshot]:
        return [_snapshot(d) for d in await self._list(f"/v1/sagas/{saga_id}/snapshots", "snapshots", limit)]

    async def delete_snapshot(self, snapshot_id: UUID) -> bool:
        try:
            await self._request("DELETE", f"/v1/snapshots/{snapshot_id}")
        except SnapshotdError as error:
            if error.code == "snapshot_not_found":
                return False
            raise
        return True

    async def delete_expired_snapshots(self) -> int:
        """Needed only with --cleanup-interval=0: else the daemon does it by itself."""
        total = 0
        while True:
            answer = await self._request("POST", "/v1/cleanup")
            total += answer["deleted"]
            if not answer["remaining"] or not answer["deleted"]:
                return total

    async def save_replay_log(self, replay_result: ReplayResult) -> None:
        body = {
            "original_saga_id": str(replay_result.original_saga_id),
            "new_saga_id": str(replay_result.new_saga_id),
            "checkpoint_step": replay_result.checkpoint_step,
            "replay_status": _value(replay_result.replay_status),
            "initiated_by": replay_result.initiated_by,
            "context_override": replay_result.context_override,
            "error_message": replay_result.error_message,
            "created_at": _spell(replay_result.created_at),
            "completed_at": _spell(replay_result.completed_at),
        }
        if self._token and replay_result.initiated_by == "system":
            del body["initiated_by"]
        await self._request("PUT", f"/v1/replays/{replay_result.replay_id}", body=body)

    async def get_replay_log(self, replay_id: UUID) -> dict[str, Any] | None:
        return await self._find(f"/v1/replays/{replay_id}")

    async def list_replays(self, original_saga_id: UUID, limit: int = 100) -> list[dict[str, Any]]:
        return await self._list(f"/v1/sagas/{original_saga_id}/replays", "replays", limit)

    # What FilesystemSnapshotStorage has beyond the interface.

    async def cleanup_saga(self, saga_id: UUID) -> int:
        return (await self._request("DELETE", f"/v1/sagas/{saga_id}/snapshots"))["deleted"]

    def get_storage_info(self) -> dict[str, Any]:
        return self._send("GET", "/v1/stats", {}, None)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> SnapshotdStorage:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _find(self, path: str, query: dict[str, Any] | None = None) -> dict[str, Any] | None:
        try:
            return await self._request("GET", path, query)
        except SnapshotdError as error:
            if error.code in ("snapshot_not_found", "replay_not_found"):
                return None
            raise

    async def _list(self, path: str, key: str, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {}
        while len(found) < limit:
            page = await self._request("GET", path, {**query, "limit": limit - len(found)})
            found += page[key]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        return found

    async def _request(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        # default=str because sagaz does so: a context may hold UUIDs and datetimes.
        data = None if body is None else json.dumps(body, default=str, allow_nan=False).encode()
        return await asyncio.to_thread(self._send, method, path, query or {}, data)

    def _send(self, method: str, path: str, query: dict[str, Any], data: bytes | None) -> Any:
        url = self._url + quote(path) + ("?" + urlencode(query) if query else "")
        headers = {"Content-Type": "application/json"} if data else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        for left in reversed(range(self._tries)):
            try:
                with urlopen(Request(url, data, headers, method=method), timeout=self._timeout) as answer:
                    return json.loads(answer.read() or "null")
            except HTTPError as error:
                if error.code not in (429, 503) or not left:
                    raise _problem(error) from None
                after = error.headers.get("Retry-After", "")
                pause = int(after) if after.isdigit() else 1
            except (OSError, HTTPException):
                if not left:
                    raise
                pause = 1
            time.sleep(pause)


def _problem(error: HTTPError) -> SnapshotdError:
    try:
        return SnapshotdError(error.code, json.load(error))
    except ValueError:  # not from snapshotd, perhaps from a proxy
        return SnapshotdError(error.code, {"detail": error.reason})


def _snapshot(document: dict[str, Any] | None) -> SagaSnapshot | None:
    if document is None:
        return None
    until = document["retention_until"]
    return SagaSnapshot(
        snapshot_id=UUID(document["snapshot_id"]),
        saga_id=UUID(document["saga_id"]),
        saga_name=document["saga_name"],
        step_name=document["step_name"],
        step_index=document["step_index"],
        status=document["status"],
        context=document["context"],
        completed_steps=document["completed_steps"],
        created_at=datetime.fromisoformat(document["created_at"]),
        retention_until=datetime.fromisoformat(until) if until else None,
        external_refs=document["external_refs"],
    )


def _spell(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).isoformat()


def _value(member: Any) -> Any:
    return getattr(member, "value", member)
