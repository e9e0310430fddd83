"""Save five steps of a saga, fail at the fifth, look back, and replay it with a corrected context.

    SNAPSHOTD_URL=http://127.0.0.1:7420 python3 example.py

Runs with and without sagaz; a sagaz user gets the same from SagaReplay and SagaTimeTravel.
"""

import asyncio
import os
import sys
from datetime import datetime, timedelta, timezone
from uuid import uuid4

from snapshotd_storage import ReplayResult, ReplayStatus, SagaSnapshot, SnapshotdStorage

STEPS = ["validate_order", "reserve_inventory", "charge_payment", "book_courier", "notify_customer"]
SERIAL = 12345678901234567890123


def check(what: str, got: object, want: object) -> None:
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


async def main() -> None:
    saga_id = uuid4()
    start = datetime(2026, 1, 5, 10, 0, tzinfo=timezone.utc)
    context = {"order": "A-17", "serial": SERIAL, "email": "ada@example,org"}

    url = os.environ.get("SNAPSHOTD_URL", "http://127.0.0.1:7420")
    async with SnapshotdStorage(url, token=os.environ.get("SNAPSHOTD_TOKEN")) as storage:
        for index, step in enumerate(STEPS):
            failed = step == "notify_customer"
            snapshot = SagaSnapshot(
                snapshot_id=uuid4(),
                saga_id=saga_id,
                saga_name="order_processing",
                step_name=step,
                step_index=index,
                status="failed" if failed else "executing",
                context=context,
                completed_steps=STEPS[:index],
                created_at=start + timedelta(minutes=index),
            )
            await storage.save_snapshot(snapshot)
            await storage.save_snapshot(snapshot)  # a retry is a no-op
            print(f"saved {step}: {snapshot.status}")
        check("what comes back", await storage.get_snapshot(snapshot.snapshot_id), snapshot)

        listed = await storage.list_snapshots(saga_id, limit=1000)
        check("the list, newest first", [s.step_name for s in listed], STEPS[::-1])
        print(f"listed {len(listed)} snapshots")

        then = await storage.get_snapshot_at_time(saga_id, start + timedelta(minutes=2, seconds=30))
        check("the step at 10:02:30", then.step_name, "charge_payment")
        check("the serial at 10:02:30", then.context["serial"], SERIAL)
        print(f"at 10:02:30 it was at {then.step_name}, serial {then.context['serial']}")

        checkpoint = await storage.get_latest_snapshot(saga_id, before_step="notify_customer")
        replay = ReplayResult(
            replay_id=uuid4(),
            original_saga_id=saga_id,
            new_saga_id=uuid4(),
            checkpoint_step=checkpoint.step_name,
            replay_status=ReplayStatus.PENDING,
            context_override={"email": "ada@example.org"},
        )
        await storage.save_replay_log(replay)
        corrected = {**checkpoint.context, **replay.context_override}
        check("the corrected context", corrected, {**context, "email": "ada@example.org"})
        print(f"replaying {replay.checkpoint_step} with {corrected}")

        # Here the runtime runs what is left of the saga.

        replay.replay_status = ReplayStatus.SUCCESS
        replay.completed_at = datetime.now(timezone.utc)
        await storage.save_replay_log(replay)
        history = await storage.list_replays(saga_id)
        check("the replays", [r["replay_status"] for r in history], ["success"])
        print(f"replay {replay.replay_id}: {history[0]['replay_status']}")


asyncio.run(main())
