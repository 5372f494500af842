class StoreStateMachine: pass
def store_state_machine(): pass
