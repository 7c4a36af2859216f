package explain

// LearnAll opens signatures one after the other and counts what that costs.
func LearnAll(in Input, signs []string) Work {
	s := newSearch(&in, "")
	for _, sign := range signs {
		s.learn(sign)
	}
	return s.work
}

// Codes are the causes of the tables.
func Codes() []string {
	out := []string{barePercent.code}
	for _, h := range hypotheses {
		out = append(out, h.code)
	}
	for _, h := range bodyHypotheses {
		out = append(out, h.code)
	}
	for _, s := range spellings {
		out = append(out, s.code)
	}
	for _, h := range heuristics {
		out = append(out, h.cause.Code)
	}
	return out
}
