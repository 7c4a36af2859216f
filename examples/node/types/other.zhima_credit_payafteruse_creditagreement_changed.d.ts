// Generated from schemas/other.zhima_credit_payafteruse_creditagreement_changed.v1.json by "npm run generate". Do not edit.

/**
 * An agreement to pay after use changed (芝麻先享, 服务开通/授权状态变更通知)
 *
 * A user's agreement to pay after use came into being or ended. Alipay's message zhima.credit.payafteruse.creditagreement.changed, known from a copy of its table. The data is what came, untyped: texts as Alipay sends them, times in Beijing time. Nothing is required, and fields that we do not know stay as they came. An event whose known fields hold anything but texts has no ce-dataschema.
 */
export interface OtherZhimaCreditPayafteruseCreditagreementChanged {
  /**
   * Alipay's number of the agreement (开通/授权协议号). At most 128 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 1.3, its source)
   */
  credit_agreement_id?: string;
  /**
   * The agreement's status (开通/授权状态): VALID or INVALID by Alipay's documents. (PROTOCOL.md 1.3, its source)
   */
  agreement_status?: string;
  /**
   * The merchant's number of the agreement (商户外部协议号). At most 32 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 1.3, its source)
   */
  out_agreement_no?: string;
  /**
   * When the status changed (状态变更的时间), yyyy-MM-dd HH:mm:ss. (PROTOCOL.md 1.3, its source)
   */
  biz_time?: string;
  /**
   * Where the user agreed (开通渠道). (PROTOCOL.md 1.3, its source)
   */
  open_channel?: string;
  /**
   * The user's Alipay id, or open_id is there instead. (PROTOCOL.md 1.3, its source)
   */
  alipay_user_id?: string;
  /**
   * The user's id within the app, or alipay_user_id is there instead. At most 128 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 1.3, its source)
   */
  open_id?: string;
  /**
   * More by special agreement (扩展字段), JSON in a string. (PROTOCOL.md 1.3, its source)
   */
  ext_info?: string;
  [k: string]: unknown;
}
