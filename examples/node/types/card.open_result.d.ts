// Generated from schemas/card.open_result.v1.json by "npm run generate". Do not edit.

/**
 * The result of opening a membership card (会员卡开卡结果通知)
 *
 * Whether a membership card was opened for a user. It has no event id and no time of its own: the notify_id and biz_card_no tell repetitions. Alipay's message alipay.user.opencard.result.notify; the known copy of its table may lack optional fields. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface CardOpenResult {
  /**
   * The card's template (会员卡模板). At most 32 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.4)
   */
  template_id?: string;
  /**
   * Alipay's number of the card (支付宝业务卡号). The key. At most 32 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.4)
   */
  biz_card_no: string;
  /**
   * The merchant's number of the card (商户外部会员卡号). At most 64 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.4)
   */
  external_card_no?: string;
  /**
   * Whether the card was opened; Alipay sends "true" or "false" as a string. Missing means unknown, not false: look under _unparsed. (PROTOCOL.md 2.4)
   */
  success?: boolean;
  /**
   * The user's Alipay id (支付宝用户id), or open_id is there instead; new merchants get open_id. At most 16 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.4)
   */
  user_id?: string;
  /**
   * The user's id within the app, or user_id is there instead. At most 128 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.4)
   */
  open_id?: string;
  /**
   * Fields above whose value did not convert, under their names and exactly as Alipay sent them. Of a name that stood more than once, known or not, all values are here in a list: which was meant cannot be told. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
