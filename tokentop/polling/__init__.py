"""Asking providers: when (schedule.py, pure), one report whole (pull.py), all of them in one loop (loop.py)."""
