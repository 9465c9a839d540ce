"""Events: from an emitter through the hub to the sinks."""
