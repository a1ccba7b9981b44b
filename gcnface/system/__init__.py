"""The process that gcnface runs in: threads, signals, streams, and libraries that other packages disturb."""
