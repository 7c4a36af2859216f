package events

// Receipt is the stream's word that an event is stored durably.
type Receipt struct {
	Sequence  uint64 // the stream's number of the event, or of the earlier one it repeats
	Duplicate bool   // the stream had this message id already, inside its window
	Place     string // opaque: which stream, in which incarnation, and where; for whoever remembers it
}
