package server

// SlotWait is slotWait.
const SlotWait = slotWait
