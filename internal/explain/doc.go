// Package explain says why a captured request is taken or not: which key and
// rule its signature fits, and when none does, the likeliest cause and what to
// do about it. It promises to answer for any bytes, with bounded work, and it
// refuses to know files, networks and terminals: it is given a request and the
// configured keys, and gives a report. Nothing that it mends is ever taken in;
// the receiver repairs nothing (DESIGN.md section 2).
//
// The method is to undo damage on a copy and to verify again. An RSA public key
// opens the signature that it belongs to, whatever text that covers, and shows
// the digest of the text that was signed. So the right key is known before the
// right text is, a wrong key is told from a changed text, and each of the
// thousands of texts that are tried costs one hash. A repair that gives the
// digest is proved: a different text with it cannot be found by chance.
//
// The twenty faults of PROTOCOL.md 3.5, and how each shows here. "Repair" is a
// proof; "guess" is a heuristic, ranked behind what is proved; "fact" is read
// off the request or the configuration.
//
//	 1  '+' in sign became a space          repair  sign_plus_lost (and the other sign_*)
//	 2  values trimmed, blanks dropped      repair  value_trimmed, white_space_added, empty_field_lost
//	 3  alipay_cert_sn absent or present    repair  alipay_cert_sn_added; absent is no fault
//	 4  sign_type dropped or kept           both rules are tried; repair sign_type_field where it was changed
//	 5  no sign_type, or RSA                fact    algorithm, sign_type_refused, unknown_algorithm; guess sm2, short_key
//	 6  decoded twice, or not               repair  value_decoded_twice, value_not_decoded, body_encoded_twice, bare_percent
//	 7  fields added by framework or URL    repair  extra_field, signed_field_added, repeated_field, query_string
//	 8  HTML-escaped values                 repair  html_escaped, html_escaped_separators; guess broken_json
//	 9  backslashes added or stripped       repair  backslashes_added, backslashes_stripped
//	10  fields lost by rebuilding           repair  json_reformatted, number_reformatted, constant_field_lost;
//	                                        fact    signed_value_changed; guess fields_lost, json_sorted, json_rebuilt
//	11  certificate passed as a key         not visible: the parsers of keys refuse it when the configuration is read
//	12  wrong public key                    fact    own_key_configured, signed_by_own_key, other_app_key; guess wrong_key, sandbox_key
//	13  charset not honoured                repair  charset, charset_field; guess garbled
//	14  space and '+' exchanged             repair  plus_lost, plus_added
//	15  odd Content-Type, body not parsed   repair  json_body, multipart_body, gzip, base64_body; fact content_type
//	16  endpoint not called                 not visible: there is no request. Look at certificate chain and firewall
//	17  copied text has stray white space   repair  body_wrapped, newlines_changed, sign_white_space; in keys it is tolerated
//	18  body consumed twice                 fact    empty_body; repair body_decoded where it was rebuilt; guess truncated
//	19  gateway check unanswered            fact    gateway_unanswered; that no answer arrives is not visible
//	20  only TRADE_SUCCESS fails            as 8, 9 and 10: only that one carries JSON
//
// Not one of the twenty (fault 0): name_changed, case_changed, null_text,
// http_message; guess masked, sign_changed, forged, extra_fields; the request is stale, ambiguous, merged, undecryptable, of an unknown or another
// app, or the parameters of a return URL. What no repair undoes (another
// utc_timestamp, other content, reordered JSON keys) is signed_value_changed
// when the key is right; the digest in the report finds the text in the
// sender's log.
package explain
